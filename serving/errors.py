"""What can go wrong in this package, in sentences for the person who has to act. No logic."""

from __future__ import annotations


class ServingError(Exception):
    """ClickHouse cannot be reached, opened or used; the text is one sentence that says what to do."""


class PublishError(ServingError):
    """A mart was not switched in because it does not equal gold; BI still reads the one before."""

    def __init__(self, mart: str, measure: str, gold: str, clickhouse: str) -> None:
        self.mart = mart
        self.measure = measure
        self.gold = gold
        self.clickhouse = clickhouse
        super().__init__(
            f"Mart {mart} was not published: {measure} is {gold} in gold and {clickhouse} in ClickHouse; "
            "the mart published before is still served."
        )


class QueryError(ServingError):
    """The engine refused or failed a query; the text is its answer, `code` its error number."""

    def __init__(self, text: str, code: int = 0) -> None:
        self.code = code
        super().__init__(text)
