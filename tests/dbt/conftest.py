"""One dbt process for all tests of the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dbt.runner import Dbt


@pytest.fixture(scope="session")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    runner = Dbt(tmp_path_factory.mktemp("dbt"))
    yield runner
    runner.close()
