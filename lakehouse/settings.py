"""Every setting of the platform, where it comes from and what it may be.

Order of sources: `UNMOGROWP_*` variables, then `unmogrowp.toml` in the home folder, then `secrets.toml` there (made by
the demo, mode 0600), then the default. Nothing else in the project reads the environment. A wrong, unknown or missing
setting raises `SettingError`, one sentence that names it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

PREFIX: Final = "UNMOGROWP_"
SETTINGS_FILE: Final = "unmogrowp.toml"
SECRETS_FILE: Final = "secrets.toml"
# Set by us for child processes (dbt); not settings a person gives.
INTERNAL_VARIABLES: Final = frozenset(
    {"UNMOGROWP_SNAPSHOT", "UNMOGROWP_PLAN", "UNMOGROWP_RUN_ID", "UNMOGROWP_SCENARIO"}
)
MIN_SECRET_LENGTH: Final = 32


class SettingError(Exception):
    """A setting is missing, unknown or wrong; the text is one sentence that names it."""


class Settings(BaseModel):
    """Typed settings; paths are absolute. Secrets are masked in `repr`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(description="Folder that holds all data of one tenant")
    lake: str = Field(
        default="",
        description="Root of the Delta tables: a folder or an object store URI; default <home>/lake",
    )
    storage_options: dict[str, str] = Field(
        default_factory=dict,
        description="Options of the object store (deltalake names), for example region or endpoint",
    )
    memory_limit: str = Field(
        default="2GB", pattern=r"^\d+(\.\d+)?\s?(MB|MiB|GB|GiB)$", description="DuckDB memory, then it spills"
    )
    threads: int = Field(default=2, ge=1, le=256, description="Threads of DuckDB, dbt and LightGBM")

    ingest_host: str = Field(default="127.0.0.1", description="Address the endpoint binds")
    ingest_port: int = Field(default=8080, ge=0, le=65_535, description="Port of the endpoint; 0 takes a free one")
    ingest_max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1_024, description="Largest body, after decompression"
    )
    ingest_max_record_bytes: int = Field(default=256 * 1024, ge=1_024, description="Largest single record")
    ingest_commit_seconds: float = Field(
        default=2.0,
        gt=0,
        le=300,
        description="Wait before the spool lands in Delta; up to five times that while little comes",
    )
    ingest_segment_bytes: int = Field(
        default=32 * 1024 * 1024, ge=65_536, description="Spool bytes that trigger a landing"
    )
    ingest_earliest_event: str = Field(
        default="1990-01-01T00:00:00Z", description="Records that happened before are rejected"
    )
    ingest_future_hours: float = Field(
        default=24.0, ge=0, description="Records later than received_at plus this are rejected"
    )
    ingest_tls_cert: Path | None = Field(default=None, description="PEM certificate chain; with the key, speak HTTPS")
    ingest_tls_key: Path | None = Field(default=None, description="PEM private key, not readable by all")
    ingest_plain_http: bool = Field(
        default=False, description="Bind beyond loopback without TLS: only behind something that ends TLS"
    )
    ingest_trusted_proxies: str = Field(
        default="", description="CIDR blocks, with commas, of proxies whose word about the sender's address counts"
    )
    ingest_forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for", description="Header in which trusted proxies give the sender's address"
    )
    ingest_address_rate: float = Field(
        default=200.0, ge=0, description="Requests a second from one address (IPv6: one /64), then 429; 0 is no limit"
    )
    ingest_key_rate: float = Field(
        default=5_000.0, ge=0, description="Requests a second with one write key, then 429; 0 is no limit"
    )
    ingest_limit_loopback: bool = Field(default=False, description="Limit senders on this machine as well")
    ingest_connections: int = Field(default=1_024, ge=1, le=65_536, description="Open connections; more wait")
    ingest_header_seconds: float = Field(
        default=10.0, ge=0.1, le=600, description="Longest wait for the head of a request, also on an idle connection"
    )
    ingest_body_seconds: float = Field(
        default=60.0, ge=0.1, le=3_600, description="Longest wait for the body of a request, then 408"
    )
    ingest_memory_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1_048_576, description="Bytes of requests that are in memory, then 429"
    )
    ingest_backlog_bytes: int = Field(
        default=1024 * 1024 * 1024, ge=1_024, description="Spool bytes that may wait to land, then 429"
    )
    ingest_disk_reserve_bytes: int = Field(
        default=256 * 1024 * 1024, ge=0, description="Free bytes of the spool's disk that new requests may not use"
    )
    ingest_drain_seconds: float = Field(
        default=0.0, ge=0, le=300, description="After SIGTERM, answer 503 this long before the port closes"
    )
    ingest_log_format: Literal["text", "json"] = Field(default="text", description="Lines or JSON objects on stderr")
    ingest_log_requests: bool = Field(default=False, description="One log line for every request")

    clickhouse_dsn: str = Field(
        default="", description="ClickHouse to publish to; empty means the embedded engine of this home"
    )
    serve_host: str = Field(default="127.0.0.1", description="Address the embedded ClickHouse front binds")
    serve_port: int = Field(default=8123, ge=0, le=65_535, description="Port of the embedded ClickHouse front")
    dagster_port: int = Field(default=3000, ge=0, le=65_535, description="Port of the Dagster UI")
    mlflow_port: int = Field(default=5000, ge=0, le=65_535, description="Port of the MLflow UI")
    mlflow_tracking_uri: str = Field(default="", description="MLflow store; empty means sqlite in the home")
    dbt_project: Path = Field(
        default=Path(__file__).resolve().parent.parent / "dbt_project",
        description="Folder of the dbt project",
    )
    rules: Path | None = Field(
        default=None,
        description="Folder of rule files that replace those of the project by name; empty means <home>/rules",
    )
    root_seed: int = Field(default=20_260_101, ge=0, description="Seed every model seed is derived from")

    salt: SecretStr | None = Field(default=None, description="Key of the address hash, at least 32 characters")
    clickhouse_bi_password: SecretStr | None = Field(default=None, description="Password of the read-only user `bi`")
    clickhouse_publisher_password: SecretStr | None = Field(
        default=None, description="Password of the user `publisher`"
    )

    @field_validator("salt", "clickhouse_bi_password", "clickhouse_publisher_password")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(f"should have at least {MIN_SECRET_LENGTH} characters")
        return value

    @field_validator("ingest_trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for block in filter(None, map(str.strip, value.split(","))):
            ip_network(block)
        return value

    def secret(self, name: str) -> str:
        """Value of a secret that this command cannot do without; SettingError when it is missing."""
        value: SecretStr | None = getattr(self, name)
        if value is None:
            raise SettingError(
                f"{PREFIX}{name.upper()} is missing: set it to a random text of at least {MIN_SECRET_LENGTH} "
                "characters (`unmogrowp demo` makes its own)."
            )
        return value.get_secret_value()

    @property
    def memory_bytes(self) -> int:
        """`memory_limit` in bytes."""
        number, unit = re.fullmatch(r"([\d.]+)\s?(\w+)", self.memory_limit).groups()  # type: ignore[union-attr]
        return int(float(number) * {"MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}[unit])

    @property
    def clickhouse_dir(self) -> Path:
        return self.home / "clickhouse"

    @property
    def spool_dir(self) -> Path:
        return self.home / "spool"

    @property
    def rules_dir(self) -> Path:
        """Rule files of this home; need not exist."""
        return self.rules or self.home / "rules"

    @property
    def mlflow_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @property
    def tmp_dir(self) -> Path:
        return self.home / "tmp"


def setting_names() -> dict[str, str]:
    """Every settings variable with its description, in declaration order."""
    return {f"{PREFIX}{name.upper()}": field.description or "" for name, field in Settings.model_fields.items()}


def load_settings(environ: dict[str, str] | None = None) -> Settings:
    """Settings of this process; `environ` replaces the process environment (tests)."""
    env = dict(os.environ) if environ is None else environ
    home = Path(env.get(f"{PREFIX}HOME") or ".unmogrowp").expanduser().resolve()
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for file, secret in ((home / SECRETS_FILE, True), (home / SETTINGS_FILE, False)):
        for name, value in _read_toml(file, secret=secret).items():
            values[name] = value
            origin[name] = f"{name} in {file.name}"
    known = set(Settings.model_fields)
    for variable, value in env.items():
        if not variable.startswith(PREFIX) or variable in INTERNAL_VARIABLES:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            raise SettingError(f"{variable} is not a setting; see `unmogrowp settings` for the names.")
        values[name] = _from_environment(variable, name, value)
        origin[name] = variable
    values["home"] = home
    if not values.get("lake"):
        values["lake"] = str(home / "lake")
    elif "://" not in values["lake"]:
        values["lake"] = str(Path(values["lake"]).expanduser().resolve())
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingError(_sentence(error, origin)) from None


def _from_environment(variable: str, name: str, value: str) -> Any:
    if name != "storage_options":
        return value
    pairs = (item.split("=", 1) for item in value.split(",") if item)
    try:
        return {key.strip(): item.strip() for key, item in pairs}
    except ValueError:
        raise SettingError(f"{variable} is wrong: give name=value pairs separated by commas.") from None


def _read_toml(file: Path, *, secret: bool) -> dict[str, Any]:
    if not file.is_file():
        return {}
    if secret and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise SettingError(f"{file.name} in the home folder can be read by others: set its mode to 0600.")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{file.name} in the home folder is not valid TOML: {error}.") from None


def _sentence(error: ValidationError, origin: dict[str, str]) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    where = origin.get(name, f"{PREFIX}{name.upper()}")
    if first["type"] == "extra_forbidden":
        return f"{where} is not a setting; see `unmogrowp settings` for the names."
    reason = first["msg"].removeprefix("Value error, ")
    return f"{where} is wrong: {reason[0].lower()}{reason[1:]}."
