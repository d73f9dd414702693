"""Totals by which a published mart is compared with gold: exact, and computed by two engines that share no code.

Each total is a pair of SQL expressions, for ClickHouse and for DuckDB, that give the same text for the same rows.
A mart may differ from gold in no total; there is no tolerance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from serving.errors import PublishError
from serving.mart import SCOPE_KEY, Column, Mart
from serving.sql import quoted

# A float's sum depends on the order of adding. floor(x * 2**32) is an exact integer, and sums of integers do not.
_SCALE = "pow(2, 32)"


@dataclass(frozen=True, slots=True)
class Total:
    """`is_decimal` tells that texts are compared as numbers: the engines print trailing zeros differently."""

    label: str
    clickhouse: str
    duckdb: str
    is_decimal: bool = False


def totals_of(mart: Mart) -> tuple[Total, ...]:
    """What is compared for a mart: rows, apps, and for every column its nulls and sums or bounds."""
    totals = [Total("rows", "toString(count())", "cast(count(*) as varchar)")]
    for column in mart.columns:
        totals += _column_totals(column)
    return tuple(totals)


def clickhouse_sql(totals: Sequence[Total], database: str, table: str) -> str:
    # Asked once per publish: compiling so many expressions takes longer than running them.
    return (
        f"SELECT {', '.join(t.clickhouse for t in totals)} FROM {quoted(database)}.{quoted(table)} "
        "SETTINGS compile_expressions = 0, compile_aggregate_expressions = 0"
    )


def duckdb_sql(totals: Sequence[Total], mart: Mart) -> str:
    return f'SELECT {", ".join(t.duckdb for t in totals)} FROM gold."{mart.name}"'


def compare(mart: Mart, totals: Sequence[Total], gold: Sequence[Any], clickhouse: Sequence[Any]) -> None:
    """PublishError at the first total that differs."""
    for total, expected, found in zip(totals, gold, clickhouse, strict=True):
        if _value(total, expected) != _value(total, found):
            raise PublishError(mart.name, total.label, str(expected), str(found))


def checksum(totals: Sequence[Total], gold: Sequence[Any]) -> str:
    """Fingerprint of a mart's totals; equal data have equal checksums, whatever engine or order."""
    lines = [f"{t.label}={_value(t, v)}" for t, v in zip(totals, gold, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _value(total: Total, text: Any) -> str:
    return str(Decimal(str(text)).normalize() + 0) if total.is_decimal else str(text)


def _column_totals(column: Column) -> list[Total]:
    c, d, name = quoted(column.name), quoted(column.name, '"'), column.name
    nulls = Total(
        f"nulls in {name}", f"toString(countIf(isNull({c})))", f"cast(count(*) filter ({d} is null) as varchar)"
    )
    if column.kind == "list":
        size = f"toString(sum(length({c})))", f"cast(coalesce(sum(len({d})), 0) as varchar)"
        return [Total(f"elements of {name}", *size)]
    measures = {
        "integer": [_integer_sum(f"sum of {name}", f"toInt128({c})", f"cast({d} as hugeint)")],
        "decimal": [_decimal_sum(name, c, d)],
        "float": _float_totals(name, c, d),
        "boolean": [
            Total(f"true values of {name}", f"toString(countIf({c}))", f"cast(count(*) filter ({d}) as varchar)")
        ],
        "date": _date_totals(name, c, d),
        "instant": _instant_totals(name, c, d),
        "text": _text_totals(column, c, d),
    }
    return [nulls, *measures[column.kind]]


def _integer_sum(label: str, clickhouse: str, duckdb: str) -> Total:
    return Total(label, f"toString(ifNull(sum({clickhouse}), 0))", f"cast(coalesce(sum({duckdb}), 0) as varchar)")


def _decimal_sum(name: str, c: str, d: str) -> Total:
    return Total(
        f"sum of {name}", f"toString(ifNull(sum({c}), 0))", f"cast(coalesce(sum({d}), 0) as varchar)", is_decimal=True
    )


def _float_totals(name: str, c: str, d: str) -> list[Total]:
    return [
        Total(
            f"sum of {name}",
            f"toString(ifNull(sumIf(toInt128(floor({c} * {_SCALE})), isFinite({c})), 0))",
            f"cast(coalesce(sum(cast(floor({d} * {_SCALE}) as hugeint)) filter (isfinite({d})), 0) as varchar)",
        ),
        Total(
            f"values of {name} that are no number",
            f"toString(countIf(NOT isFinite({c})))",
            f"cast(count(*) filter (not isfinite({d})) as varchar)",
        ),
    ]


def _date_totals(name: str, c: str, d: str) -> list[Total]:
    return [
        Total(f"first {name}", _text_or_empty(f"minOrNull({c})"), _duck_text(f"min({d})")),
        Total(f"last {name}", _text_or_empty(f"maxOrNull({c})"), _duck_text(f"max({d})")),
        _integer_sum(f"sum of {name}", f"toInt64(toInt32({c}))", f"date_diff('day', date '1970-01-01', {d})"),
    ]


def _instant_totals(name: str, c: str, d: str) -> list[Total]:
    clickhouse, duckdb = f"toUnixTimestamp64Micro({c})", f"epoch_us({d})"
    return [
        Total(f"first {name}", _text_or_empty(f"minOrNull({clickhouse})"), _duck_text(f"min({duckdb})")),
        Total(f"last {name}", _text_or_empty(f"maxOrNull({clickhouse})"), _duck_text(f"max({duckdb})")),
        _integer_sum(f"sum of {name}", f"toInt128({clickhouse})", f"cast({duckdb} as hugeint)"),
    ]


def _text_totals(column: Column, c: str, d: str) -> list[Total]:
    totals = [_integer_sum(f"bytes in {column.name}", f"length({c})", f"strlen({d})")]
    if column.is_dimension or column.name == SCOPE_KEY:
        totals.append(
            Total(
                f"distinct values of {column.name}",
                f"lower(hex(MD5(arrayStringConcat(arraySort(groupUniqArray({c})), '\\n'))))",
                f"md5(coalesce(string_agg(distinct {d}, chr(10) order by {d}), ''))",
            )
        )
    return totals


def _text_or_empty(expression: str) -> str:
    return f"ifNull(toString({expression}), '')"


def _duck_text(expression: str) -> str:
    return f"coalesce(cast({expression} as varchar), '')"
