"""What holds for every file: nothing is lost, nothing is added, and neither order nor cuts change an id."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.importer import import_file
from lakehouse.apps import App, save_apps
from lakehouse.settings import Settings
from tests.ingestion.rig import APP, ids_of, make_settings

MAPPING = """
format = "csv"
app_id = "game.ios"
zone = "UTC"
requires = ["amount"]
required = ["event_at"]
[aliases]
when = ["Event Time"]
user = ["Device"]
amount = ["Revenue"]
note = []
[fields]
install_id = "user"
[times.event_at]
column = "when"
[[records]]
record_type = "event"
when = [{ column = "amount", given = true }]
fields = { event_name = "note" }
amounts = { revenue = [{ amount = "amount", currency_is = "EUR" }] }
record_id = { key = ["record_type", "event_at", "install_id", "revenue", "event_name"] }
[[records]]
record_type = "session"
when = [{ column = "user", given = true }]
"""
BREAKS = str.maketrans("\n\r", "  ")
NAMES = {"when": "Event Time", "user": "Device", "amount": "Revenue", "note": "Note"}
# Few days, amounts and users, so that equal rows are frequent.
ROWS = st.builds(
    lambda day, user, amount, note: {
        "when": f"2026-03-{day:02d} 10:00:00",
        "user": user,
        "amount": amount,
        "note": note,
    },
    st.integers(1, 6),
    st.sampled_from(["i1", "i2"]),
    st.sampled_from(["1.50", "2", ""]),
    st.sampled_from(["buy", "sell"]),
)
FEW = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = make_settings(tmp_path_factory.mktemp("home"))
    save_apps(found, (App(app_id=APP, platform="ios"),))
    (found.home / "m.toml").write_text(MAPPING)
    return found


def report(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = tuple(NAMES), *, titled: bool = False) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([NAMES[name] if titled else name for name in columns])
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return text.getvalue()


def ids(home: Settings, text: str) -> list[str]:
    return ids_of(home, stored(text), str(home.home / "m.toml"))


def stored(text: str | bytes) -> Path:
    file = Path(tempfile.mkdtemp()) / "f.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def day_of(row: dict[str, str]) -> str:
    return row["when"][:10]


def check_counts(home: Settings, text: bytes, rows: int) -> None:
    result = import_file(home, stored(text), str(home.home / "m.toml"), dry_run=True)
    assert result.rows == rows
    assert result.accepted + result.rejected + result.skipped == result.rows
    assert sum(result.reasons.values()) == result.rejected
    assert sum(result.reports.values()) == result.accepted


def check_overlap(home: Settings, rows: list[dict[str, str]], first: int, second: int) -> None:
    """Exports are cut by days, so rows with one time are all in an export or none is."""
    low, high = sorted((f"2026-03-{first:02d}", f"2026-03-{second:02d}"))
    whole = ids(home, report(rows))
    early = ids(home, report([row for row in rows if day_of(row) <= high]))
    late = ids(home, report([row for row in rows if day_of(row) >= low]))
    assert set(early) | set(late) == set(whole)
    assert len(set(whole)) == len(whole), "rows that are equal are rows of their own"


@FEW
@given(st.lists(ROWS | st.just({"note": "x"}) | st.just({"user": "i1", "when": "soon"}), max_size=12))
def test_every_row_is_accepted_or_rejected(home: Settings, rows: list[dict[str, str]]) -> None:
    check_counts(home, report(rows).encode(), len(rows))


@FEW
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_damaged_lines_cost_themselves_only(home: Settings, lines: list[bytes]) -> None:
    # No line of noise has as many columns as a row, and what they leave open must not swallow the rows between them.
    noise = [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines]
    noise = [line for line in noise if line.strip() and line != b"\xef\xbb\xbf"]
    head, row = (
        report([{"when": "2026-03-01", "user": "i1", "amount": "1", "note": "buy"}]).encode().splitlines(keepends=True)
    )
    mixed = head + row + b"".join(line + b"\n" + row for line in noise)
    result = import_file(home, stored(mixed), str(home.home / "m.toml"), dry_run=True)
    assert (result.accepted, result.rejected) == (len(noise) + 1, len(noise))


@FEW
@given(st.lists(ROWS, max_size=10), st.permutations(list(NAMES)), st.booleans())
def test_neither_the_order_of_columns_nor_the_header_changes_an_id(
    home: Settings, rows: list[dict[str, str]], columns: list[str], titled: bool
) -> None:
    assert ids(home, report(rows, columns, titled=titled)) == ids(home, report(rows))


@FEW
@given(st.lists(ROWS, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_set_of_ids(home: Settings, rows: list[dict[str, str]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set(ids(home, report(shuffled))) == set(ids(home, report(rows)))


@FEW
@given(st.lists(ROWS, max_size=12), st.integers(1, 6), st.integers(1, 6))
def test_overlapping_exports_hold_the_ids_of_the_whole(
    home: Settings, rows: list[dict[str, str]], first: int, second: int
) -> None:
    check_overlap(home, rows, first, second)


@FEW
@given(st.lists(ROWS, min_size=1, max_size=8))
def test_a_file_twice_in_one_is_the_file_once(home: Settings, rows: list[dict[str, str]]) -> None:
    once = Counter(ids(home, report(rows)))
    assert Counter(ids(home, report(rows) + report(rows, titled=True))) == Counter(dict.fromkeys(once, 2))


@pytest.mark.slow
@MANY
@given(st.lists(ROWS, max_size=30), st.integers(1, 6), st.integers(1, 6))
def test_overlapping_exports_hold_the_ids_of_the_whole_often(
    home: Settings, rows: list[dict[str, str]], first: int, second: int
) -> None:
    check_overlap(home, rows, first, second)


@pytest.mark.slow
@MANY
@given(
    st.lists(
        st.lists(st.text(max_size=12), min_size=1, max_size=6) | st.just(["2026-03-01", "i1", "1", "buy"]),
        max_size=20,
    )
)
def test_any_cells_are_rows_and_each_is_counted(home: Settings, cells: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    kept = [
        [cell.replace("\n", " ").replace("\r", " ").encode("utf-8", "replace").decode() for cell in row]
        for row in cells
    ]
    writer.writerows(kept)
    check_counts(home, (report([]) + text.getvalue()).encode(), len(kept))
