"""What a record tells of its device: the address, packed, and what the user agent says of the system."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from ingestion.user_agents import parse_user_agent
from ingestion.values import address_packer

_MAX_USER_AGENT: Final = 2_048


class Devices:
    """Fills in the fields of records that are about their device. The salt keys the hash of addresses."""

    def __init__(self, salt: str) -> None:
        self._pack_address = address_packer(salt)

    def fill(self, record: Any, address: str | None, user_agent: str | None) -> int:
        """Address and user agent: given, or those of the request; the quotation marks that this adds.

        Rejected if the given address is none.
        """
        added = 0
        if record.ip:
            record.ip = self._pack_address(record.ip)
        elif address:
            added += _put(record, "ip", self._pack_address(address))
        if not record.user_agent and user_agent:
            added += _put(record, "user_agent", user_agent[:_MAX_USER_AGENT])
        if record.user_agent and not record.os_name:
            parsed = parse_user_agent(record.user_agent)
            for name in ("os_name", "os_version", "device_model"):
                value = getattr(parsed, name)
                if value and not getattr(record, name):
                    added += _put(record, name, value)
        return added


def _put(record: Any, name: str, value: str) -> int:
    """Fill a field that the sender left empty; the quotation marks this adds to the canonical form."""
    before = getattr(record, name)
    setattr(record, name, value)
    return value.count('"') + (4 if before is UNSET else 2 if before is None else 0)
