"""The demo: a simulated world and real input through every stage, in a home of its own with keys of its own.

Only the order of things is here; each stage is the code that production uses. Input that this project did not invent
is in `orchestration.demo_inputs`.
"""

from __future__ import annotations

import os
import tomllib
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import tomli_w

from lakehouse.apps import App, load_apps, new_write_key, save_apps, write_private
from lakehouse.home import make_demo_secrets, prepare_home
from lakehouse.lake import Lake
from lakehouse.processes import die_with_parent
from lakehouse.settings import Settings, load_settings
from orchestration.demo_inputs import CDNOW_APP, SEGMENT_APP, cdnow_file, segment_calls, send_with_segment
from orchestration.pipelining import Pipeline
from orchestration.progress import Step, Steps
from orchestration.refresh import Refresh, refresh
from orchestration.services import Running, free_port, services
from orchestration.warmup import parse_models_early, warm_up_to_begin
from serving.report import Extras, render_report, summary_lines
from simulator.delivery import deliver
from simulator.world import World, config_for, world_apps

if TYPE_CHECKING:
    from models_ml.cdnow_benchmark import Benchmark

_KEYS_FILE: Final = "demo-keys.toml"
_DELIVERED_FILE: Final = "demo-delivered.txt"
_BEFORE: Final = "delivered before"
_READY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Demo:
    """How a demo ended. `problems` are sentences; the demo is good when there is none."""

    home: Path
    report: Path | None
    summary: list[str]
    problems: list[str]


def run_demo(*, events: int, steps: Steps) -> Demo:
    """Run everything; a second call changes nothing but publication times."""
    make_demo_secrets(load_settings().home)
    settings = load_settings()
    prepare_home(settings)
    world = World(config_for(events))
    keys = _register_apps(settings, world)
    parse_models_early(settings)
    warm_up_to_begin()
    _deliver(settings, world, keys, steps)
    shown = settings.home / "reports" / "demo.html"
    with Judging(settings) as judging:
        # A second demo finds the verdict of the first, so nothing is begun.
        outcome = refresh(settings, steps, after={} if shown.is_file() else {"silver_and_gold": judging.start})
        problems = _problems(outcome)
        if not outcome.success:
            return Demo(settings.home, None, [], problems)
        with steps.step("Look for every Segment call in the mart") as step:
            problems += _missing_segment_calls(settings)
            step.note("each found once" if not problems else "not all found")
        with steps.step("Judge the value model on CDNOW"):
            extras = _extras(settings, outcome, judging.result())
    with steps.step("Write the report") as step:
        report = render_report(settings, extras, datetime.now(UTC), shown)
        step.note(str(report))
    return Demo(settings.home, report, summary_lines(settings, extras), problems)


class Endpoint:
    """The ingest endpoint of the demo as a process of its own, on a free port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.model_copy(update={"ingest_port": free_port(settings.ingest_host)})
        self._running: Running | None = None
        self.address = f"http://{self._settings.ingest_host}:{self._settings.ingest_port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        os.environ["UNMOGROWP_INGEST_PORT"] = str(self._settings.ingest_port)
        self._running = Running(self._settings, services(self._settings)[0])
        del os.environ["UNMOGROWP_INGEST_PORT"]
        if not self._running.wait_until_ready(_READY_SECONDS):
            raise RuntimeError(f"the endpoint did not start; the end of its log:\n{self._running.tail()}")

    def stop(self) -> None:
        """Ask it to land everything and wait for its end."""
        if self._running is not None:
            self._running.stop()
            self._running = None


class Judging:
    """The value model judged on CDNOW in a process of its own, as one core rests while the run trains its models."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=die_with_parent)
        self._future: Future[Benchmark] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self) -> None:
        """Begin; the tables it reads stand."""
        from models_ml.cdnow_benchmark import measure_cdnow

        self._future = self._pool.submit(measure_cdnow, self._settings, CDNOW_APP)

    def result(self) -> Benchmark | None:
        """What was measured; None if it was never begun. Errors of the measurement are raised here."""
        return self._future.result() if self._future is not None else None


def _deliver(settings: Settings, world: World, keys: dict[str, str], steps: Steps) -> None:
    """Bring all input into bronze. What was delivered by an earlier demo is not sent again."""
    delivered = settings.home / _DELIVERED_FILE
    done = set(delivered.read_text(encoding="utf-8").split()) if delivered.is_file() else set()

    def remember(name: str) -> None:
        done.add(name)
        write_private(delivered, "\n".join(sorted(done)) + "\n")

    endpoint = Endpoint(settings)
    try:
        with steps.step("Start the ingest endpoint") as step:
            endpoint.start()
            step.note(endpoint.address)
        with steps.step(f"Simulate a mobile world and send {world.config.events:,} events over HTTP") as step:
            _send_world(settings, world, endpoint, keys, step)
        with steps.step("Send with an unmodified Segment client") as step:
            if SEGMENT_APP in done:
                step.note(_BEFORE)
            else:
                step.note(f"{send_with_segment(endpoint.address, keys[SEGMENT_APP])} calls")
        with steps.step("Drain the endpoint into Delta"):
            endpoint.stop()
        remember(SEGMENT_APP)
    finally:
        endpoint.stop()
    with steps.step("Import CDNOW, 69,659 real purchases") as step:
        if CDNOW_APP in done:
            step.note(_BEFORE)
        else:
            _import_cdnow(settings, step)
            remember(CDNOW_APP)


def _register_apps(settings: Settings, world: World) -> dict[str, str]:
    """Write keys by app, made once: hashed in apps.toml, in clear in a private file for the demo's senders."""
    file = settings.home / _KEYS_FILE
    keys: dict[str, str] = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    apps = dict(load_apps(settings).apps)
    wanted: list[dict[str, Any]] = [
        *world_apps(world),
        {"app_id": SEGMENT_APP, "platform": "web"},
        {"app_id": CDNOW_APP, "platform": "other", "implied_installs": True},
    ]
    for entry in wanted:
        app_id = entry["app_id"]
        if app_id not in apps or app_id not in keys:
            keys[app_id], stored = new_write_key("demo")
            apps[app_id] = App(**entry, write_keys=(stored,))
    write_private(file, tomli_w.dumps(keys))
    save_apps(settings, tuple(apps.values()))
    return keys


def _send_world(settings: Settings, world: World, endpoint: Endpoint, keys: dict[str, str], step: Step) -> None:
    from ingestion.client import BatchSender

    senders = {app_id: BatchSender(endpoint.address, key) for app_id, key in keys.items()}
    truth = settings.home / "truth"
    with Pipeline(lambda app_id, body: senders[app_id].send(body)) as pipeline:
        manifest = deliver(world, pipeline.put, truth=truth, progress=step.note, flush=pipeline.flush)
    step.note(f"{manifest.records:,} records, {'sent' if manifest.is_new else _BEFORE}")


def _import_cdnow(settings: Settings, step: Step) -> None:
    from ingestion.importer import import_file

    result = import_file(settings, cdnow_file(), "cdnow", progress=step.note)
    step.note(f"{result.accepted:,} accepted, {result.rejected:,} rejected")


def _problems(outcome: Refresh) -> list[str]:
    problems = [f"{name} failed: {message}" for name, message in outcome.failed_steps.items()]
    problems += [
        f"check {c.name} of {c.asset} failed: {c.description}" for c in outcome.failed_checks if c.severity == "error"
    ]
    return problems


def _missing_segment_calls(settings: Settings) -> list[str]:
    """Sentences about calls of the Segment client that the marts do not hold exactly once."""
    from serving.query import query_rows

    sql = (
        "select count(), uniqExact(install_id) from attributed_installs where app_id = {app:String}",
        "select sum(revenue_usd) from cohort_revenue where app_id = {app:String} and day_clock = 'calendar'",
    )
    installs, revenue = query_rows(settings, *sql, parameters={"app": SEGMENT_APP})
    expected = segment_calls()
    problems = []
    if installs.rows[0] != (expected.installs, expected.installs):
        problems.append(f"the mart has {installs.rows[0][0]} Segment installs, sent were {expected.installs}")
    if revenue.rows[0][0] != expected.revenue:
        problems.append(f"the mart has Segment revenue {revenue.rows[0][0]}, sent was {expected.revenue}")
    return problems


def _extras(settings: Settings, outcome: Refresh, measured: Benchmark | None) -> Extras:
    """What the report shows beside the marts: checks, reasons of rejects, and the value model on CDNOW."""
    from lakehouse.engine import connect
    from models_ml.cdnow_benchmark import evaluate_cdnow
    from quality.history import latest
    from quality.rejects import reject_reasons

    snapshot = Lake(settings.lake, settings.storage_options).pin()
    connection = connect(settings, snapshot=snapshot)
    try:
        return {
            "quality": latest(connection),
            "rejects": reject_reasons(connection),
            "cdnow": asdict(
                evaluate_cdnow(connection, snapshot=snapshot, settings=settings, app_id=CDNOW_APP, measured=measured)
            ),
            "run_id": outcome.run_id,
        }
    finally:
        connection.close()
