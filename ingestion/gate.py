"""Who gets in: address, rate, origin and key of a request, before its body is read.

The registry of keys is `ingestion.access`; what an address is `ingestion.peers`; buckets are `ingestion.limits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ingestion.access import Denied, Keys
from ingestion.limits import Limiter, RateLimited
from ingestion.origins import is_known
from ingestion.peers import Address, Peers, bucket_of
from lakehouse.apps import App, AppRegistry
from lakehouse.settings import Settings

# Told of every request that a limit turned away, with `address` or `key`.
OnLimited = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: its address, the web page it comes from, and whether limits hold for it."""

    address: Address | None = None
    origin: str | None = None
    is_limited: bool = False


ANYBODY: Final = Caller()


class Gate:
    """Keys, limits and origins of one endpoint."""

    def __init__(self, settings: Settings) -> None:
        self._keys = Keys(settings)
        self._peers = Peers(settings.ingest_trusted_proxies, settings.ingest_forwarded_header)
        self._limits_loopback = settings.ingest_limit_loopback
        self._addresses = Limiter(settings.ingest_address_rate)
        self._key_limits = Limiter(settings.ingest_key_rate)

    @property
    def registry(self) -> AppRegistry:
        return self._keys.registry

    def arrive(self, client: str, headers: Any) -> Caller:
        """The caller of a request; RateLimited if its address asks too often."""
        address = self._peers.address_of(client, headers)
        is_limited = self._limits_loopback or address is None or not address.is_loopback
        if is_limited and (seconds := self._addresses.wait(bucket_of(address))):
            raise RateLimited("address", seconds)
        return Caller(address, headers.get("origin"), is_limited)

    def app_of(self, key: str | None, scope: str, now: datetime, caller: Caller = ANYBODY) -> App:
        """The app of a write key; Denied if it may not, RateLimited if it is used too often."""
        grant = self._keys.grant_of(key, scope, now)
        if caller.origin is not None and caller.origin not in grant.app.origins:
            raise Denied("origin_forbidden")
        if caller.is_limited and (seconds := self._key_limits.wait(grant.key.sha256)):
            raise RateLimited("key", seconds)
        return grant.app

    def knows_origin(self, origin: str | None) -> bool:
        """Whether pages of this origin send to some app here."""
        return origin is not None and is_known(origin, self.registry)
