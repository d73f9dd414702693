"""The apps of a home: who may send what, and what rules need to know of an app (`apps.toml`).

Write keys are kept hashed with their scope; the key itself is shown once, when it is made. Checking a request against
the registry is the endpoint's work.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tomli_w
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from lakehouse.contract import PLATFORMS
from lakehouse.currencies import CURRENCIES
from lakehouse.settings import SettingError, Settings

APPS_FILE: Final = "apps.toml"
SCOPES: Final = ("events", "segment", "link", "skan", "cost", "consent")
_LOCK_FILE: Final = ".apps.lock"
# Scheme, host and port as browsers send them; no wildcard, as a write key in a page is public.
_ORIGIN: Final = re.compile(r"^https?://[a-z0-9.-]+(:\d{1,5})?$")
# What only the endpoint needs to know: changing it leaves what rules make of the records as it is.
ROUTING_FIELDS: Final = frozenset(
    {
        "play_store_id",
        "app_store_id",
        "web_url",
        "deep_links",
        "requires_signed_links",
        "allows_sandbox_postbacks",
        "origins",
    }
)
# Schemes that run code, read local files or carry another address inside: never a deep link.
_FORBIDDEN_SCHEMES: Final = frozenset(
    {"http", "https", "javascript", "vbscript", "data", "file", "blob", "about", "intent", "view-source", "content"}
)
_DEEP_LINK: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://|(?P<host>(?:[a-z0-9-]+\.)+[a-z0-9-]+)")


class WriteKey(BaseModel):
    """A hashed key: SHA-256 is enough, as keys are 256 random bits and not chosen by people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    scopes: tuple[str, ...] = SCOPES
    expires_at: AwareDatetime | None = None

    @field_validator("scopes")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(value) - set(SCOPES)):
            raise ValueError(f"unknown scope {unknown[0]}; known are {', '.join(SCOPES)}")
        return value

    @property
    def key_id(self) -> str:
        """What a person calls the key by when its name is not unique: the first characters of its hash."""
        return self.sha256[:12]

    def is_expired(self, at: datetime) -> bool:
        return self.expires_at is not None and at >= self.expires_at

    def allows(self, scope: str, at: datetime) -> bool:
        return scope in self.scopes and not self.is_expired(at)


class App(BaseModel):
    """One app of the tenant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    app_id: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")
    platform: str
    store_id: str = ""
    time_zone: str = "UTC"
    currency: str = "USD"
    # True for apps that send no install records: the first record of an install id is taken as its install.
    implied_installs: bool = False
    # Where a click goes: by the system of the device, else to `web_url`. `app_store_id` also finds Apple's postbacks.
    play_store_id: str = Field(default="", pattern=r"^([A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+)?$")
    app_store_id: str = Field(default="", pattern=r"^([1-9][0-9]{0,18})?$")
    web_url: str = Field(default="", max_length=2_048, pattern=r"^(https://[!-~]+)?$")
    # Where a link may lead beside the stores: "mygame://" (a scheme of the app) or "shop.example" (an https host).
    deep_links: tuple[str, ...] = ()
    requires_signed_links: bool = False  # unsigned clicks and impressions are kept, but marked as not valid
    allows_sandbox_postbacks: bool = False  # take AdAttributionKit postbacks that a development key signed
    # Web pages that may send for the app, like https://shop.example; without any, browsers are refused.
    origins: tuple[str, ...] = ()
    write_keys: tuple[WriteKey, ...] = ()

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.match(origin):
                raise ValueError(
                    f"{origin} is not an origin: give scheme and host in lower case, like https://a.example"
                )
        return value

    @model_validator(mode="after")
    def _known_values(self) -> Self:
        if self.platform not in PLATFORMS:
            raise ValueError(f"platform is one of {', '.join(PLATFORMS)}")
        if self.currency not in CURRENCIES:
            raise ValueError(f"{self.currency} is not an ISO 4217 currency")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{self.time_zone} is not an IANA time zone") from None
        for entry in self.deep_links:
            found = _DEEP_LINK.fullmatch(entry)
            if found is None:
                raise ValueError(f"deep link {entry[:64]!r} is neither a scheme (mygame://) nor a host (shop.example)")
            if found["scheme"] in _FORBIDDEN_SCHEMES:
                raise ValueError(f"deep link scheme {found['scheme']} is not the app's own")
        return self


class AppRegistry:
    """All apps of a home, by id and by key."""

    def __init__(self, apps: tuple[App, ...]) -> None:
        self.apps = {app.app_id: app for app in apps}
        if len(self.apps) != len(apps):
            raise SettingError(f"{APPS_FILE} is wrong: an app_id stands there twice.")
        self._keys = {key.sha256: (app, key) for app in apps for key in app.write_keys}
        self._by_app_store_id = {app.app_store_id: app for app in apps if app.app_store_id}
        if len(self._by_app_store_id) != sum(bool(app.app_store_id) for app in apps):
            raise SettingError(f"{APPS_FILE} is wrong: an app_store_id stands there twice.")
        self.origins = frozenset(origin for app in apps for origin in app.origins)

    def of_app_store(self, app_store_id: str) -> App | None:
        """The app with this id in Apple's store (digits only)."""
        return self._by_app_store_id.get(app_store_id)

    def find(self, key: str) -> tuple[App, WriteKey] | None:
        """The app and the stored form of a key, whatever its scope and expiry; None if the key is unknown.

        The look-up goes by the hash, so its time tells nothing about the key; the comparison is constant in time.
        """
        digest = hash_key(key)
        found = self._keys.get(digest)
        return found if found is not None and hmac.compare_digest(found[1].sha256, digest) else None

    def authenticate(self, key: str, scope: str, at: datetime) -> App | None:
        """The app a key may write to on routes of `scope`; None if the key is unknown, expired or of another scope."""
        found = self.find(key)
        return found[0] if found is not None and found[1].allows(scope, at) else None


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_write_key(
    name: str, scopes: tuple[str, ...] = SCOPES, expires_at: datetime | None = None
) -> tuple[str, WriteKey]:
    """A fresh key, in clear and as it is stored."""
    key = secrets.token_urlsafe(32)
    return key, WriteKey(name=name, sha256=hash_key(key), scopes=scopes, expires_at=expires_at)


@contextmanager
def changing_apps(settings: Settings) -> Iterator[None]:
    """Hold the right to read, change and save `apps.toml`, so that two commands lose no key of each other."""
    settings.home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.home / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load_apps(settings: Settings) -> AppRegistry:
    """The registry; empty if the home has no `apps.toml`. SettingError with one sentence when it is wrong."""
    file = settings.home / APPS_FILE
    if not file.is_file():
        return AppRegistry(())
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("apps", [])
        return AppRegistry(tuple(App(**entry) for entry in entries))
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{APPS_FILE} is not valid TOML: {error}.") from None
    except (ValidationError, TypeError) as error:
        raise SettingError(f"{APPS_FILE} is wrong: {_reason(error)}.") from None


def save_apps(settings: Settings, apps: tuple[App, ...]) -> None:
    """Write `apps.toml` (mode 0600) by rename, so that a reader never sees half of it."""
    AppRegistry(apps)
    settings.home.mkdir(parents=True, exist_ok=True)
    entries = [_plain(app.model_dump(mode="python")) for app in apps]
    write_private(settings.home / APPS_FILE, tomli_w.dumps({"apps": entries}))


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    temporary.replace(file)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"]).removeprefix("Value error, ")
    return str(error)
