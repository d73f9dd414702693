"""Exchange rates from a file into `bronze_fx_rates`: checked as a whole, kept by version, never changed.

How a rate is chosen for a day is in `dbt_project/models/intermediate/int_fx_rates.sql`. Records of apps take another
way in (`ingestion.importer`), as a rate belongs to no app.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from lakehouse.currencies import CURRENCIES
from lakehouse.lake import Lake
from lakehouse.service_tables import SERVICE_SCHEMAS
from lakehouse.settings import Settings

MAPPING: Final = "rates"
TABLE: Final = "bronze/bronze_fx_rates"
_WRITER: Final = "rates"
_SCHEMA: Final = SERVICE_SCHEMAS["bronze_fx_rates"]
_PRICES: Final = ("usd_per_unit", "units_per_usd")
_COLUMNS: Final = frozenset({"currency", "date", "provider", "version", *_PRICES})
_STEP: Final = Decimal("0.000000001")  # nine decimals, as the lake keeps rates
_LIMIT: Final = Decimal(10_000)
_FAULTS_TOLD: Final = 5
_TRIES: Final = 8


class RatesRefused(Exception):  # noqa: N818 - reads as what happened
    """Nothing of the file was taken; sentences that name its lines."""


class Rate(NamedTuple):
    """One rate as a file states it; `version` is None if the file leaves it to us. `line` counts from 1."""

    line: int
    currency: str
    day: date
    usd_per_unit: Decimal
    provider: str
    version: int | None


@dataclass(frozen=True, slots=True)
class RatesResult:
    """What became of a file: `rows` = `added` + `known`."""

    file: str
    is_dry_run: bool
    rows: int
    added: int
    known: int

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The result in a sentence."""
        what = "would be added" if self.is_dry_run else "added"
        return [f"{self.file}: {self.rows:,} rates, {self.added:,} {what}, {self.known:,} known already"]


def import_rates(
    settings: Settings, path: Path, *, dry_run: bool = False, received_at: datetime | None = None
) -> RatesResult:
    """Add the rates of a CSV file; RatesRefused, and nothing taken, if any line is wrong.

    Columns: currency, date, usd_per_unit (or units_per_usd), and if wanted provider and version. Importing a file again
    adds nothing. A rate without a version that differs from the last of its day becomes the next version.
    """
    rates = _read(path)
    lake = Lake(settings.lake, settings.storage_options)
    for _ in range(_TRIES):
        known, last_batch = _known(lake)
        new = list(_new_rates(rates, known))
        if not dry_run and new:
            lake.create(TABLE, _SCHEMA, partition_by=("ingest_date",))
            rows = _rows(new, received_at or datetime.now(UTC))
            if not lake.append_once(TABLE, rows, writer=_WRITER, batch=last_batch + 1):
                continue  # another import came between: look again at what is known
        return RatesResult(path.name, dry_run, len(rates), len(new), len(rates) - len(new))
    raise RatesRefused(f"{path.name} was not imported: other imports of rates keep coming between. Try again.")


def _read(path: Path) -> list[Rate]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = [name.strip().lower() for name in reader.fieldnames or []]
            _check_header(path, header)
            reader.fieldnames = header
            return _parsed(path, reader)
    except UnicodeDecodeError:
        raise RatesRefused(f"{path.name} is not UTF-8 text; save it as CSV in UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise RatesRefused(f"{path.name} cannot be read: {error}.") from None


def _check_header(path: Path, header: Sequence[str]) -> None:
    if unknown := sorted(set(header) - _COLUMNS):
        raise RatesRefused(f"{path.name} has the column {unknown[0]!r}; rates have {', '.join(sorted(_COLUMNS))}.")
    if "currency" not in header or "date" not in header or sum(name in header for name in _PRICES) != 1:
        raise RatesRefused(f"{path.name} needs the columns currency, date and one of {' and '.join(_PRICES)}.")


def _parsed(path: Path, rows: csv.DictReader[str]) -> list[Rate]:
    rates: list[Rate] = []
    faults: list[str] = []
    for row in rows:
        try:
            rates.append(_rate(rows.line_num, row))
        except ValueError as error:
            faults.append(f"{path.name} line {rows.line_num}: {error}.")
    if not rates and not faults:
        raise RatesRefused(f"{path.name} has no rates.")
    faults += _contradictions(path, rates)
    if faults:
        more = [f"{len(faults) - _FAULTS_TOLD} more lines are wrong."] if len(faults) > _FAULTS_TOLD else []
        raise RatesRefused("\n".join([*faults[:_FAULTS_TOLD], *more, "Nothing was imported."]))
    return rates


def _rate(line: int, row: Mapping[str | None, Any]) -> Rate:
    values = {name: value.strip() for name, value in row.items() if name and isinstance(value, str)}
    currency = values.get("currency", "").upper()
    if currency not in CURRENCIES:
        raise ValueError(f"{currency or 'nothing'} is no ISO 4217 currency")
    try:
        day = date.fromisoformat(values.get("date", ""))
    except ValueError:
        raise ValueError(f"{values.get('date') or 'nothing'} is no date; write 2026-01-31") from None
    usd_per_unit = _price(values)
    if currency == "USD" and usd_per_unit != 1:
        raise ValueError("a US dollar is one US dollar")
    text = values.get("version", "")
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**63):
        raise ValueError(f"version {text} is no whole number from 1 on")
    return Rate(line, currency, day, usd_per_unit, values.get("provider") or "file", int(text) if text else None)


def _price(values: Mapping[str, str]) -> Decimal:
    name = next(name for name in _PRICES if name in values)
    try:
        given = Decimal(values[name])
    except InvalidOperation:
        raise ValueError(f"{values[name] or 'nothing'} is no number") from None
    if not given.is_finite() or given <= 0:
        raise ValueError(f"a rate of {values[name]} is impossible")
    price = (given if name == _PRICES[0] else 1 / given).quantize(_STEP, ROUND_HALF_EVEN)
    if not 0 < price < _LIMIT:
        raise ValueError(f"{price} USD for one unit cannot be kept; rates lie between {_STEP} and {_LIMIT}")
    return price


def _contradictions(path: Path, rates: Sequence[Rate]) -> list[str]:
    seen: dict[tuple[str, date, str, int | None], Rate] = {}
    faults = []
    for rate in rates:
        first = seen.setdefault((rate.currency, rate.day, rate.provider, rate.version), rate)
        if first.usd_per_unit != rate.usd_per_unit:
            faults.append(
                f"{path.name} line {rate.line}: {rate.currency} of {rate.day} has another rate in line {first.line}."
            )
    return faults


class _Known(NamedTuple):
    rates: dict[tuple[str, date, str, int], Decimal]
    last: dict[tuple[str, date], tuple[int, str, Decimal]]


def _known(lake: Lake) -> tuple[_Known, int]:
    """Every rate by its key, the one of the highest version by day, and the number of the last import."""
    known = _Known({}, {})
    if not lake.exists(TABLE):
        return known, -1
    handle = lake.open(TABLE)
    columns = ["currency", "rate_date", "provider", "version", "usd_per_unit"]
    for row in handle.to_pyarrow_table(columns=columns).to_pylist():
        _note(known, row["currency"], row["rate_date"], row["provider"], row["version"], row["usd_per_unit"])
    done = handle.transaction_version(_WRITER)
    return known, -1 if done is None else int(done)


def _note(known: _Known, currency: str, day: date, provider: str, version: int, price: Decimal) -> None:
    known.rates[currency, day, provider, version] = price
    last = known.last.get((currency, day))
    # The same order as in int_fx_rates: highest version, then least provider.
    if last is None or (-version, provider) < (-last[0], last[1]):
        known.last[currency, day] = (version, provider, price)


def _new_rates(rates: Sequence[Rate], known: _Known) -> Iterator[Rate]:
    """The rates that are not known, each with its version."""
    for rate in rates:
        last = known.last.get((rate.currency, rate.day))
        if rate.version is None:
            if last is not None and last[1:] == (rate.provider, rate.usd_per_unit):
                continue
            numbered = rate._replace(version=1 if last is None else last[0] + 1)
        else:
            numbered = rate
            same = known.rates.get((rate.currency, rate.day, rate.provider, rate.version))
            if same is not None and same != rate.usd_per_unit:
                raise RatesRefused(
                    f"{rate.currency} of {rate.day} is already {same} in version {rate.version} of {rate.provider};"
                    " give a correction a higher version. Nothing was imported."
                )
            if same is not None:
                continue
        assert numbered.version is not None
        _note(known, numbered.currency, numbered.day, numbered.provider, numbered.version, numbered.usd_per_unit)
        yield numbered


def _rows(rates: Sequence[Rate], received_at: datetime) -> pa.Table:
    request = str(uuid.uuid4())
    values = {
        "received_at": [received_at] * len(rates),
        "ingest_date": [received_at.astimezone(UTC).date()] * len(rates),
        "request_id": [request] * len(rates),
        "currency": [rate.currency for rate in rates],
        "rate_date": [rate.day for rate in rates],
        "usd_per_unit": [rate.usd_per_unit for rate in rates],
        "provider": [rate.provider for rate in rates],
        "version": [rate.version for rate in rates],
    }
    return pa.Table.from_arrays([pa.array(values[field.name], field.type) for field in _SCHEMA], schema=_SCHEMA)
