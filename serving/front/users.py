"""Who may use the front, what each user may spend, and which engine settings a reader may choose.

The embedded engine has no users: rights are put on a handle by `serving.front.handles` from what is said here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from serving.errors import QueryError
from serving.readonly import READONLY
from serving.target import PUBLISHER, READER

REQUIRED_PASSWORD: Final = 194
AUTHENTICATION_FAILED: Final = 516
MIN_PASSWORD_LENGTH: Final = 16

# What a client may set although the handle is read-only: how an answer looks, and smaller limits. Anything else could
# change what a text means (`dialect`), write (`output_format_schema`) or lift a limit.
_READER_SETTINGS: Final = frozenset(
    {
        *("max_execution_time", "max_result_rows", "max_result_bytes", "result_overflow_mode", "max_threads"),
        *("max_rows_to_read", "max_bytes_to_read", "read_overflow_mode", "timeout_overflow_mode", "max_memory_usage"),
        *("max_block_size", "limit", "offset", "extremes", "join_use_nulls", "group_by_use_nulls", "session_timezone"),
        *(
            "date_time_output_format",
            "date_time_input_format",
            "format_csv_delimiter",
            "aggregate_functions_null_for_empty",
        ),
        *("prefer_column_name_to_alias", "cast_keep_nullable", "cast_string_to_dynamic_use_inference"),
        *("use_query_cache", "enable_http_compression", "union_default_mode", "transform_null_in"),
    }
)
_READER_SETTING_PREFIX: Final = "output_format_"
_REFUSED_READER_SETTINGS: Final = frozenset({"output_format_schema"})
# These clients send on every request and expect to be taken no notice of where they do not apply.
_IGNORED_SETTINGS: Final = frozenset(
    {
        *("readonly", "log_queries", "wait_end_of_query", "send_progress_in_http_headers", "buffer_size"),
        *("http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close", "quota_key", "role"),
        *("client_protocol_version", "http_write_exception_in_output_format", "add_http_cors_header"),
    }
)
_UPPER_BOUNDS: Final = ("max_execution_time", "max_result_rows", "max_result_bytes", "max_threads", "max_memory_usage")


@dataclass(frozen=True, slots=True)
class User:
    """`limits` are engine settings; those of a reader cannot be exceeded, only lowered."""

    name: str
    is_reader: bool
    limits: Mapping[str, int] = field(default_factory=dict)
    max_body_bytes: int = 1024 * 1024

    def settings(self, asked: Mapping[str, str]) -> dict[str, str]:
        """Engine settings of a request: what it asked for within this user's rights, then the limits.

        QueryError when a reader asks for a setting that it may not change.
        """
        wanted = {name: value for name, value in asked.items() if name not in _IGNORED_SETTINGS}
        if not self.is_reader:
            return {name: str(value) for name, value in self.limits.items()} | wanted
        for name in wanted:
            is_format = name.startswith(_READER_SETTING_PREFIX) and name not in _REFUSED_READER_SETTINGS
            if name not in _READER_SETTINGS and not is_format:
                raise QueryError(f"Cannot modify '{name}' setting in readonly mode.", READONLY)
        return wanted | {name: _bounded(name, wanted.get(name), limit) for name, limit in self.limits.items()}


def _bounded(name: str, asked: str | None, limit: int) -> str:
    if asked is None or name not in _UPPER_BOUNDS:
        return str(limit)
    try:
        value = float(asked)
    except ValueError:
        raise QueryError(f"Cannot parse value {asked!r} of setting '{name}'.", READONLY) from None
    # Zero means no limit to the engine.
    return asked if 0 < value <= limit else str(limit)


READER_LIMITS: Final = {
    "max_execution_time": 30,
    "max_memory_usage": 1_000_000_000,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 256 * 1024 * 1024,
    "max_threads": 2,
    "max_ast_depth": 500,
    "enable_http_compression": 1,
}
PUBLISHER_LIMITS: Final = {"max_memory_usage": 2_000_000_000, "max_threads": 2}


class Users:
    """The users of the front with their passwords, kept as digests and compared in constant time."""

    def __init__(self, bi_password: str, publisher_password: str) -> None:
        for name, password in ((READER, bi_password), (PUBLISHER, publisher_password)):
            if len(password) < MIN_PASSWORD_LENGTH:
                raise ValueError(f"the password of {name} has less than {MIN_PASSWORD_LENGTH} characters")
        self._users = {
            READER: (User(READER, True, READER_LIMITS), _digest(bi_password)),
            PUBLISHER: (User(PUBLISHER, False, PUBLISHER_LIMITS, 8 * 1024**3), _digest(publisher_password)),
        }

    def authenticate(self, name: str, password: str) -> User:
        """The user; QueryError with AUTHENTICATION_FAILED for a wrong name and a wrong password alike."""
        user, digest = self._users.get(name, (None, _digest("\0")))
        is_right = hmac.compare_digest(_digest(password), digest)
        if user is None or not is_right:
            raise QueryError(
                f"{name}: Authentication failed: password is incorrect, or there is no user with such name.",
                AUTHENTICATION_FAILED,
            )
        return user


def credentials(headers: Mapping[str, str], parameters: Mapping[str, str]) -> tuple[str, str]:
    """User and password of a request: its own headers, Basic authorization or parameters, in this order.

    QueryError with REQUIRED_PASSWORD when there are none: the front has no user without a password.
    """
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise QueryError("Invalid authorization header.", AUTHENTICATION_FAILED) from None
        return name, password
    if "user" in parameters or "password" in parameters:
        return parameters.get("user", "default"), parameters.get("password", "")
    raise QueryError("User and password are required.", REQUIRED_PASSWORD)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode()).digest()
