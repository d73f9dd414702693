"""Rules about single values: blank ids, exact money, time bounds, device addresses.

Which field a rule applies to comes from `lakehouse.contract`; the loop over records is `ingestion.validator`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from ingestion.reasons import Rejected

# Trimmed from ids and codes; with zeros and dashes it makes the alphabet of a "zero id".
BLANK: Final = " \t\r\n\v\f"
EMPTY_ID: Final = BLANK + "0-"

MAX_AMOUNT: Final = Decimal(1_000_000_000_000)
_MICRO: Final = Decimal("0.000001")
# 13 digits before the point and 6 behind it are the most a bounded amount has.
_MONEY: Final = Context(prec=28, rounding=ROUND_HALF_EVEN)

# Instants other than event_at are facts about the past of a device: only nonsense is refused.
SANE_FROM: Final = datetime(1970, 1, 1, tzinfo=UTC)
SANE_UNTIL: Final = datetime(2200, 1, 1, tzinfo=UTC)

_ADDRESS_CACHE: Final = 65_536
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"


def micros(amount: Decimal, field: str) -> int:
    """Exact micros of an amount; digits beyond the sixth are rounded half to even."""
    if not amount.is_finite():
        raise Rejected("not_finite", f"{field} is not a finite number", field)
    if not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
        raise Rejected("amount_out_of_bounds", f"{field} is beyond {MAX_AMOUNT:,} units", field)
    return int(amount.quantize(_MICRO, context=_MONEY).scaleb(6, context=_MONEY))


def check_bounds(instant: datetime, low: datetime, high: datetime, field: str) -> None:
    if not low <= instant <= high:
        raise Rejected(
            "time_out_of_bounds",
            f"{field} {instant.isoformat()} is not between {low.isoformat()} and {high.isoformat()}",
            field,
        )


def address_packer(salt: str) -> Callable[[str], str]:
    """A function that turns an IP address into `address|prefix|keyed hash`.

    The prefix is the /24 of an IPv4 and the /48 of an IPv6 address; the hash is HMAC-SHA256 under the tenant's salt,
    so that equal addresses stay equal after the address itself is gone. Blank and zero addresses give "".
    """
    key = salt.encode()

    @lru_cache(maxsize=_ADDRESS_CACHE)
    def pack(text: str) -> str:
        bare = text.strip(BLANK)
        if not bare:
            return ""
        packed = _packed(bare)
        if not any(packed):
            return ""
        family, kept, bits = (AF_INET, 3, 24) if len(packed) == 4 else (AF_INET6, 6, 48)
        prefix = inet_ntop(family, packed[:kept].ljust(len(packed), b"\0"))
        digest = hmac.digest(key, packed, "sha256").hex()
        return f"{inet_ntop(family, packed)}|{prefix}/{bits}|{digest[:32]}"

    return pack


def _packed(text: str) -> bytes:
    """The 4 or 16 bytes of an address; an IPv4 address inside IPv6 is that IPv4 address."""
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        # a zone names an interface of the sender, not a device
        packed = inet_pton(AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        raise Rejected("invalid_address", "ip is neither an IPv4 nor an IPv6 address", "ip") from None
    return packed.removeprefix(_MAPPED)
