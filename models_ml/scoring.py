"""Predictions of the champions, written to `ml/predictions_ltv` and `ml/predictions_churn`.

Belongs here: who is scored at the watermark, the columns of the two tables, and writing them only when they changed.
Does not belong here: training (`ltv`, `churn`). The same champion on the same Delta versions gives the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lakehouse.engine import create_view, duckdb_type
from lakehouse.lake import Lake
from lakehouse.predictions import PREDICTION_SCHEMAS
from models_ml import churn, ltv, spine, training
from models_ml.activity import App, load_activity, to_us
from models_ml.churn_model import ChurnModel
from models_ml.features import FEATURE_VERSION, read_features
from models_ml.results import ScoringResult
from models_ml.tracking import ModelStore, StoredModel, delta_tags
from models_ml.value_model import ValueModel

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from lakehouse.settings import Settings

LTV_TABLE: Final = "ml/predictions_ltv"
CHURN_TABLE: Final = "ml/predictions_churn"

# An install past its horizon has earned what it has earned: prediction and interval are the observed revenue.
_LTV_INSERT: Final = """
insert into ml_predictions
with observed as (
    select
        i.inst, i.app_id, i.install_id, w.as_of_us,
        coalesce(sum(a.amount_micros) filter (
            a.event_us < i.install_us + {horizon_us} and a.event_us < w.as_of_us
        ), 0)::bigint as micros
    from ml_installs as i
    inner join ml_watermarks as w on i.app_id = w.app_id and i.install_us < w.as_of_us
    left join ml_activity as a on i.inst = a.inst and a.kind in ('p', 'a')
    group by all
)
select
    o.app_id,
    o.install_id,
    make_timestamptz(o.as_of_us),
    {horizon},
    greatest(o.micros::double / 1e6 + coalesce(f.expected, 0), 0),
    greatest(o.micros::double / 1e6 + coalesce(least(f.low, f.expected), 0), 0),
    greatest(o.micros::double / 1e6 + coalesce(greatest(f.high, f.expected), 0), 0),
    (o.micros::decimal(18, 0) * 0.000001::decimal(7, 6))::decimal(18, 6),
    '{name}', '{version}', '{features}', '{run_id}'
from observed as o
left join ml_forecast as f on o.app_id = f.app_id and o.install_id = f.install_id
"""


def score_ltv(
    con: duckdb.DuckDBPyConnection,
    snapshot: Mapping[str, int],
    settings: Settings,
    *,
    horizons: Sequence[int] = ltv.HORIZONS,
    lake: Lake | None = None,
) -> ScoringResult:
    """Value of every install at its app's watermark, for each horizon that has a champion.

    `predicted_ltv_usd` is revenue from the install to `horizon_days` after it: observed so far plus expected. A longer
    horizon is never below a shorter one. A horizon without champion gives no rows and a note.
    """
    started = time.monotonic()
    store, lake = ModelStore(settings), lake or Lake(settings.lake, settings.storage_options)
    apps = load_activity(con)
    _watermarks(con, apps)
    _start(con, LTV_TABLE)
    models: dict[int, int] = {}
    notes = []
    for horizon in sorted(horizons):
        stored, note = store.champion(f"{ltv.TASK}_d{horizon}")
        if stored is None:
            notes.append(note)
            continue
        model = store.load(stored)
        assert isinstance(model, ValueModel), f"{stored.name} holds another kind of model"
        _forecast_open(con, apps, horizon, model)
        con.execute(
            _LTV_INSERT.format(
                horizon=horizon, horizon_us=_micros(horizon), features=FEATURE_VERSION, **_identity(stored)
            )
        )
        models[horizon] = stored.version
    _make_monotone(con)
    return _write(con, lake, LTV_TABLE, ltv.TASK, snapshot, apps, models, notes, started)


def score_churn(
    con: duckdb.DuckDBPyConnection,
    snapshot: Mapping[str, int],
    settings: Settings,
    *,
    horizon_days: int = churn.HORIZON,
    lake: Lake | None = None,
) -> ScoringResult:
    """Chance of churn, with its main reasons, of every user active in the two weeks before the watermark."""
    started = time.monotonic()
    store, lake = ModelStore(settings), lake or Lake(settings.lake, settings.storage_options)
    apps = churn.session_apps(load_activity(con))
    _start(con, CHURN_TABLE)
    stored, note = store.champion(f"{churn.TASK}_d{horizon_days}")
    models: dict[int, int] = {}
    notes = [note] if note else []
    cuts = [spine.Cut(app.app_id, app.as_of, is_now=True) for app in apps]
    if stored is not None and spine.build_spine(con, cuts, churn.window(horizon_days)):
        model = store.load(stored)
        assert isinstance(model, ChurnModel), f"{stored.name} holds another kind of model"
        frame = read_features(con)
        scored = frame[["app_id", "install_id", "as_of_us"]].assign(
            chance=model.chance(frame), reasons=model.reasons(frame)
        )
        con.register("ml_scored", scored)
        con.execute(
            "insert into ml_predictions select app_id, install_id, make_timestamptz(as_of_us), "
            f"{horizon_days}, chance, reasons, '{{name}}', '{{version}}', '{FEATURE_VERSION}', '{{run_id}}' "
            "from ml_scored".format(**_identity(stored))
        )
        con.unregister("ml_scored")
        models[horizon_days] = stored.version
    return _write(con, lake, CHURN_TABLE, churn.TASK, snapshot, apps, models, notes, started)


def _start(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """An empty `ml_predictions` of the agreed shape."""
    columns = ", ".join(f"{field.name} {duckdb_type(field.type)}" for field in PREDICTION_SCHEMAS[table])
    con.execute(f"create or replace temp table ml_predictions ({columns})")


def _watermarks(con: duckdb.DuckDBPyConnection, apps: Sequence[App]) -> None:
    con.execute("create or replace temp table ml_watermarks (app_id varchar, as_of_us bigint)")
    for app in apps:
        con.execute("insert into ml_watermarks values (?, ?)", [app.app_id, to_us(app.as_of)])


def _forecast_open(con: duckdb.DuckDBPyConnection, apps: Sequence[App], horizon: int, model: ValueModel) -> None:
    """Fill `ml_forecast` with the expected rest of installs younger than the horizon."""
    con.execute(
        "create or replace temp table ml_forecast "
        "(app_id varchar, install_id varchar, expected double, low double, high double)"
    )
    cuts = [spine.Cut(app.app_id, app.as_of, is_now=True) for app in apps]
    if not cuts or not spine.build_spine(con, cuts, spine.Lifetime(horizon)):
        return
    frame: pd.DataFrame = read_features(con)
    forecast = model.forecast(frame)
    rest = frame[["app_id", "install_id"]].assign(expected=forecast.expected, low=forecast.low, high=forecast.high)
    con.register("ml_rest", rest)
    con.execute("insert into ml_forecast select app_id, install_id, expected, low, high from ml_rest")
    con.unregister("ml_rest")


def _make_monotone(con: duckdb.DuckDBPyConnection) -> None:
    """Lift each horizon to at least the one before, prediction and bounds alike."""
    lifted = ", ".join(
        f"max({column}) over w as {column}"
        for column in ("predicted_ltv_usd", "predicted_ltv_low_usd", "predicted_ltv_high_usd")
    )
    con.execute(
        f"create or replace temp table ml_predictions as select * replace ({lifted}) from ml_predictions "
        "window w as (partition by app_id, install_id order by horizon_days)"
    )


def _write(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: str,
    task: str,
    snapshot: Mapping[str, int],
    apps: Sequence[App],
    models: dict[int, int],
    notes: Sequence[str],
    started: float,
) -> ScoringResult:
    """Replace the table unless it already holds exactly these rows."""
    rows: pa.Table = con.sql("select * from ml_predictions order by app_id, install_id, horizon_days").to_arrow_table()
    rows = rows.cast(PREDICTION_SCHEMAS[table])
    versions = training.input_versions(snapshot)
    is_changed = not _holds(con, lake, table)
    if is_changed:
        described = {f"{task}_d{horizon}": str(version) for horizon, version in models.items()}
        lake.overwrite(table, rows, metadata=delta_tags(versions) | described)
    as_of: dict[str, datetime] = {app.app_id: app.as_of for app in apps}
    return ScoringResult(
        task=task,
        table=table,
        table_version=lake.version(table),
        rows=rows.num_rows,
        is_changed=is_changed,
        models=models,
        as_of=as_of,
        delta_versions=versions,
        notes=tuple(notes),
        seconds=time.monotonic() - started,
    )


def _holds(con: duckdb.DuckDBPyConnection, lake: Lake, table: str) -> bool:
    """Whether the newest version of `table` has exactly the rows of `ml_predictions`."""
    if not lake.exists(table):
        return False
    if lake.schema(table).names != PREDICTION_SCHEMAS[table].names:
        return False
    layer, _, name = table.partition("/")
    con.execute(f"create schema if not exists {layer}")
    create_view(con, lake, table)
    old = f'{layer}."{name}"'
    difference = con.execute(
        f"select (select count(*) from (from ml_predictions except all from {old})) "
        f"+ (select count(*) from (from {old} except all from ml_predictions))"
    ).fetchone()
    return difference is not None and difference[0] == 0


def _identity(stored: StoredModel) -> dict[str, Any]:
    return {"name": stored.name, "version": stored.version, "run_id": stored.run_id}


def _micros(days: int) -> int:
    return timedelta(days=days) // timedelta(microseconds=1)
