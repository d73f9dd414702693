"""Exchange rates from files: all or nothing, every version kept, nothing twice."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingestion.rates import TABLE, RatesRefused, RatesResult, import_rates
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from orchestration.cli import cli

AT = datetime(2026, 2, 1, 23, 30, tzinfo=UTC)


@pytest.fixture
def load(settings: Settings, tmp_path: Path) -> Any:
    def _load(text: str, *, dry_run: bool = False, name: str = "rates.csv") -> RatesResult:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return import_rates(settings, file, dry_run=dry_run, received_at=AT)

    return _load


def kept(settings: Settings) -> list[tuple[str, date, Decimal, str, int]]:
    lake = Lake(settings.lake)
    if not lake.exists(TABLE):
        return []
    rows = lake.open(TABLE).to_pyarrow_table().to_pylist()
    assert {row["ingest_date"] for row in rows} <= {AT.date()}
    names = ("currency", "rate_date", "usd_per_unit", "provider", "version")
    return sorted(tuple(row[name] for name in names) for row in rows)  # type: ignore[misc]


def test_a_rate_that_changes_becomes_the_next_version_and_the_first_is_kept(settings: Settings, load: Any) -> None:
    first = load("currency,date,usd_per_unit,provider\neur,2026-01-02,1.10,ecb\nJPY,2026-01-02,0.0067,ecb\n")
    assert (first.rows, first.added, first.known) == (2, 2, 0)
    again = load("currency,date,usd_per_unit,provider\nEUR,2026-01-02,1.100,ecb\n")
    assert (again.added, again.known) == (0, 1)
    changed = load("currency,date,usd_per_unit,provider\nEUR,2026-01-02,1.11,ecb\nEUR,2026-01-03,1.12,ecb\n")
    assert (changed.added, changed.known) == (2, 0)
    day, next_day = date(2026, 1, 2), date(2026, 1, 3)
    assert kept(settings) == [
        ("EUR", day, Decimal("1.100000000"), "ecb", 1),
        ("EUR", day, Decimal("1.110000000"), "ecb", 2),
        ("EUR", next_day, Decimal("1.120000000"), "ecb", 1),
        ("JPY", day, Decimal("0.006700000"), "ecb", 1),
    ]


def test_a_version_that_the_file_names_is_taken_and_cannot_say_two_things(settings: Settings, load: Any) -> None:
    text = "currency,date,usd_per_unit,provider,version\nEUR,2026-01-02,1.10,ecb,7\n"
    assert load(text).added == 1
    assert load(text).known == 1
    with pytest.raises(RatesRefused, match=r"already 1.100000000 in version 7 of ecb.*higher version"):
        load(text.replace("1.10", "1.20"))
    assert load(text.replace("1.10,ecb,7", "1.20,ecb,8")).added == 1
    assert [row[-1] for row in kept(settings)] == [7, 8]


def test_units_per_dollar_are_turned_round_to_nine_decimals(settings: Settings, load: Any) -> None:
    load("date,currency,units_per_usd\n2026-01-02,JPY,149.25\n")
    assert kept(settings) == [("JPY", date(2026, 1, 2), Decimal("0.006700168"), "file", 1)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("BTC,2026-01-02,1", "line 2: BTC is no ISO 4217 currency"),
        ("EUR,02.01.2026,1", "line 2: 02.01.2026 is no date; write 2026-01-31"),
        ("EUR,2026-01-02,1;1", "line 2: 1;1 is no number"),
        ("EUR,2026-01-02,0", "line 2: a rate of 0 is impossible"),
        ("EUR,2026-01-02,NaN", "line 2: a rate of NaN is impossible"),
        ("EUR,2026-01-02,10000", "cannot be kept"),
        ("EUR,2026-01-02,0.0000000001", "cannot be kept"),
        ("USD,2026-01-02,1.01", "line 2: a US dollar is one US dollar"),
        ("EUR,2026-01-02,1\nEUR,2026-01-02,2", "line 3: EUR of 2026-01-02 has another rate in line 2"),
        ("", "rates.csv has no rates"),
    ],
)
def test_a_wrong_line_refuses_the_file_with_a_sentence(settings: Settings, load: Any, line: str, told: str) -> None:
    with pytest.raises(RatesRefused) as refused:
        load(f"currency,date,usd_per_unit\n{line}\nGBP,2026-01-02,1.27\n" if line else "currency,date,usd_per_unit\n")
    assert told in str(refused.value)
    assert kept(settings) == []


@pytest.mark.parametrize(
    "header", ["currency,date", "currency,date,usd_per_unit,units_per_usd", "currency,day,usd_per_unit"]
)
def test_a_wrong_header_is_refused(load: Any, header: str) -> None:
    with pytest.raises(RatesRefused, match=r"needs the columns|has the column 'day'"):
        load(f"{header}\nEUR,2026-01-02,1,1\n")


def test_a_dry_run_writes_nothing(settings: Settings, load: Any) -> None:
    result = load("currency,date,usd_per_unit\nEUR,2026-01-02,1.1\n", dry_run=True)
    assert result.lines() == ["rates.csv: 1 rates, 1 would be added, 0 known already"]
    assert kept(settings) == []


def test_the_import_command_takes_rates(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMOGROWP_HOME", str(settings.home))
    file = tmp_path / "ecb.csv"
    file.write_text("currency,date,usd_per_unit\nEUR,2026-01-02,1.1\n", encoding="utf-8")
    ran = CliRunner().invoke(cli, ["import", str(file), "--mapping", "rates", "--json"])
    assert (ran.exit_code, json.loads(ran.output)["added"]) == (0, 1)
    file.write_text("currency,date,usd_per_unit\nEUR,tomorrow,1.1\n", encoding="utf-8")
    assert CliRunner().invoke(cli, ["import", str(file), "--mapping", "rates"]).exit_code != 0
