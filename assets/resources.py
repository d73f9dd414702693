"""The resource classes that assets read through. Which instance runs where is decided in `orchestration`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb
from pydantic import PrivateAttr

from lakehouse.engine import PinnedEngine
from lakehouse.home import writing
from lakehouse.lake import Lake
from lakehouse.pins import Pin, pin, repin
from lakehouse.rules import RuleError, require_rules
from lakehouse.settings import Settings, load_settings


class HomeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One tenant's home: settings, lake and the pinned world of a run."""

    home: str | None = None
    _engine: PinnedEngine | None = PrivateAttr(default=None)

    def settings(self) -> Settings:
        """Settings of this process, read when a step needs them, never while definitions load."""
        environ = dict(os.environ)
        if self.home is not None:
            environ["UNMOGROWP_HOME"] = self.home
        return load_settings(environ)

    def lake(self) -> Lake:
        settings = self.settings()
        return Lake(settings.lake, settings.storage_options)

    def require_rules(self) -> None:
        """A failure with a sentence for each fault if the rule files of this home are wrong."""
        settings = self.settings()
        try:
            require_rules(settings.dbt_project, settings.rules_dir)
        except RuleError as error:
            raise dg.Failure(str(error), allow_retries=False) from None

    def pin(self, run_id: str, *, full_refresh: bool = False) -> Pin:
        """The world this run sees."""
        return pin(self.settings(), self.lake(), run_id, full_refresh=full_refresh)

    def repin(self, run_id: str, *layers: str) -> Pin:
        """The world with what this run has just written in `layers`."""
        return repin(self.settings(), self.lake(), run_id, layers)

    @contextmanager
    def engine(self, run_id: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, int], Settings]]:
        """A connection over the world of this run, as far as it is built, with its versions and the settings."""
        settings = self.settings()
        snapshot = self.repin(run_id, "silver", "gold", "rules", "ml").snapshot
        if self._engine is None:
            self._engine = PinnedEngine(settings, self.lake())
        self._engine.show(snapshot)
        try:
            yield self._engine.connection, snapshot, settings
        finally:
            self._engine.forget()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the connection that the steps of this process have shared."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @contextmanager
    def writing(self) -> Iterator[Settings]:
        """Hold the write lock of the home, so that runs started from different places do not interleave."""
        settings = self.settings()
        with writing(settings):
            yield settings
