"""What an HTTP request asks of the engine: statement, data, parameters, settings. Parsing only, nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import IO, Final

from serving.errors import QueryError
from serving.readonly import SYNTAX_ERROR

NOT_IMPLEMENTED: Final = 48
BAD_ARGUMENTS: Final = 36
# Statements this long are inserts with their data in the text; those are cut off where the data begins.
MAX_STATEMENT_BYTES: Final = 16 * 1024 * 1024
_HEAD_BYTES: Final = 256 * 1024

_TRANSPORT: Final = frozenset(
    {
        *("query", "database", "default_format", "user", "password", "session_id", "session_timeout", "session_check"),
        *("query_id", "compress", "decompress", "stacktrace"),
    }
)
_COMMENTS: Final = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z)|#[ !][^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.DOTALL)
_INSERT_HEAD: Final = re.compile(
    rb"\A(\s*INSERT\s+INTO\s.*?)\bFORMAT\s+(\w+)(?:[ \t]*\r?\n|[ \t]+(?=\S)|\s*\Z)", re.DOTALL | re.IGNORECASE
)
_VALUES_HEAD: Final = re.compile(r"\A(\s*INSERT\s+INTO\s.*?)\bVALUES\s*\Z", re.DOTALL | re.IGNORECASE)
_ANSWERING: Final = frozenset(
    {"select", "with", "show", "describe", "desc", "explain", "exists", "check", "from", "values", "kill", "table"}
)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One statement for the engine. `data` with `data_format` is what an INSERT reads; the caller closes it."""

    statement: str
    database: str | None = None
    output_format: str = "TabSeparated"
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    query_id: str = ""
    session_id: str = ""
    session_timeout_s: int = 60
    must_session_exist: bool = False
    is_read: bool = False
    data: IO[bytes] | None = None
    data_format: str = ""

    @property
    def first_word(self) -> str:
        match = re.match(r"\w+", self.statement[_COMMENTS.match(self.statement).end() :])  # type: ignore[union-attr]
        return match.group().lower() if match else ""

    @property
    def has_answer(self) -> bool:
        """Whether the statement has a result set, perhaps an empty one."""
        return self.first_word in _ANSWERING


def read_request(
    method: str, query: Iterable[tuple[str, str]], headers: Mapping[str, str], body: IO[bytes]
) -> QueryRequest:
    """The request of a decoded body (rewound, seekable). QueryError when it is none."""
    values = dict(query)
    if headers.get("content-type", "").lower().startswith("multipart/form-data"):
        values |= _form(headers["content-type"], body)
        statement, data, data_format = values.get("query", ""), None, ""
    else:
        statement, data, data_format = _statement_and_data(values.get("query", ""), body)
    if values.get("compress") == "1" or values.get("decompress") == "1":
        raise QueryError(
            "compress=1 and decompress=1 are not implemented: use Accept-Encoding and Content-Encoding.",
            NOT_IMPLEMENTED,
        )
    if not statement.strip():
        raise QueryError("Empty query.", SYNTAX_ERROR)
    return QueryRequest(
        statement=statement,
        database=values.get("database") or headers.get("x-clickhouse-database") or None,
        output_format=values.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        parameters={name.removeprefix("param_"): value for name, value in values.items() if name.startswith("param_")},
        settings={n: v for n, v in values.items() if n not in _TRANSPORT and not n.startswith("param_")},
        query_id=values.get("query_id", ""),
        session_id=values.get("session_id", ""),
        session_timeout_s=_seconds(values.get("session_timeout", "60")),
        must_session_exist=values.get("session_check") == "1",
        is_read=method != "POST",
        data=data,
        data_format=data_format,
    )


def _statement_and_data(query: str, body: IO[bytes]) -> tuple[str, IO[bytes] | None, str]:
    """Split what was sent: a statement in the address has its data in the body; else the body begins with it."""
    head = body.read(_HEAD_BYTES)
    if query.strip() and head:
        whole = _INSERT_HEAD.match(query.encode())
        if whole:
            body.seek(0)
            return whole.group(1).decode(), body, whole.group(2).decode()
        values = _VALUES_HEAD.match(query)
        if values:
            body.seek(0)
            return values.group(1), body, "Values"
        # ClickHouse reads the two as one text.
        return _text(query.encode() + b"\n" + head + body.read(MAX_STATEMENT_BYTES)), None, ""
    if query.strip():
        return query, None, ""
    found = _INSERT_HEAD.match(head)
    if found:
        body.seek(found.end())
        return _text(found.group(1)), body, found.group(2).decode()
    return _text(head + body.read(MAX_STATEMENT_BYTES)), None, ""


def _text(statement: bytes) -> str:
    if len(statement) > MAX_STATEMENT_BYTES:
        raise QueryError(f"The statement is longer than {MAX_STATEMENT_BYTES} bytes.", SYNTAX_ERROR)
    try:
        return statement.decode()
    except UnicodeDecodeError:
        raise QueryError("The statement is not valid UTF-8.", SYNTAX_ERROR) from None


def _form(content_type: str, body: IO[bytes]) -> dict[str, str]:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body.read(MAX_STATEMENT_BYTES)
    )
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None:
            raise QueryError("External tables are not implemented.", NOT_IMPLEMENTED)
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = _text(content)
    return fields


def _seconds(text: str) -> int:
    try:
        return min(3600, max(1, int(text)))
    except ValueError:
        raise QueryError("session_timeout is not a number of seconds.", BAD_ARGUMENTS) from None
