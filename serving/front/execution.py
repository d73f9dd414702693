"""Running one request on the engine with its user's rights. Blocking: the routes call it on worker threads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import IO, Any, Final

from serving.errors import QueryError
from serving.front.handles import Handles, engine_errors, run
from serving.front.requests import QueryRequest
from serving.front.users import User
from serving.readonly import READONLY

_INSERT_CHUNK: Final = 1024 * 1024
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*\Z", re.IGNORECASE)
_WRITING_FIRST_WORDS: Final = frozenset({"insert", "set", "use"})


@dataclass(frozen=True, slots=True)
class Answer:
    """`output_format` is empty for a statement without result set. `summary` holds the counts clients ask for."""

    body: bytes = b""
    output_format: str = ""
    summary: dict[str, str] = field(default_factory=dict)


def execute(handles: Handles, user: User, request: QueryRequest, default_database: str) -> Answer:
    """Answer of the engine; QueryError when it, or the user's rights, refuse."""
    database = request.database or default_database
    settings = user.settings(request.settings)
    if user.is_reader:
        return _read(handles, request, database, settings)
    readonly = "2" if request.is_read else "0"
    if request.settings.get("readonly") in ("1", "2"):
        readonly = request.settings["readonly"]
    if request.session_id and readonly == "0":
        lease = handles.session(
            request.session_id, request.session_timeout_s, request.must_session_exist, database, settings
        )
    else:
        lease = handles.writer(database, settings, readonly)
    with lease as handle:
        return _write(handle, request)


def _read(handles: Handles, request: QueryRequest, database: str, settings: dict[str, str]) -> Answer:
    if request.first_word in _WRITING_FIRST_WORDS or request.data is not None:
        raise QueryError("Cannot execute query in readonly mode.", READONLY)
    sql = _single(request.statement)
    output = handles.gate.check(sql, request.parameters, database) or request.output_format
    with handles.reader(database, settings) as handle:
        return _answer(run(handle, sql, output, request.parameters), output)


def _write(handle: Any, request: QueryRequest) -> Answer:
    if request.data is not None:
        return _insert(handle, request, request.data)
    sql = _single(request.statement)
    result = run(handle, sql, request.output_format, request.parameters)
    if not request.has_answer:
        return Answer(summary=_summary(result))
    found = _FORMAT.search(sql)
    return _answer(result, found.group(1) if found else request.output_format)


def _insert(handle: Any, request: QueryRequest, data: IO[bytes]) -> Answer:
    if request.parameters:
        # The engine's streaming insert takes none; a statement with both is rare enough to refuse.
        raise QueryError("Parameters of an INSERT with data are not implemented.", READONLY)
    with engine_errors(), handle.send_insert(request.statement, request.data_format) as stream:
        while chunk := data.read(_INSERT_CHUNK):
            stream.append(chunk)
        written = stream.finish()
    return Answer(
        summary={
            "written_rows": str(written.rows_written),
            "written_bytes": str(written.bytes_written),
            "elapsed_ns": str(int(written.elapsed * 1e9)),
        }
    )


def _answer(result: Any, output_format: str) -> Answer:
    return Answer(bytes(result.bytes()), output_format, _summary(result))


def _summary(result: Any) -> dict[str, str]:
    return {
        "read_rows": str(result.storage_rows_read()),
        "read_bytes": str(result.storage_bytes_read()),
        "result_rows": str(result.rows_read()),
        "elapsed_ns": str(int(result.elapsed() * 1e9)),
    }


def _single(statement: str) -> str:
    return statement.strip().rstrip(";").rstrip()
