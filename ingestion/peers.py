"""Where a request comes from: the peer of the connection, or the sender that a trusted proxy names.

A header is believed only as far as trusted proxies wrote it: hops are read from the right, and the first one that is no
trusted proxy is the sender. What stands left of it, the sender may have invented.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

_PAIR: Final = re.compile(r'(?i)(?:^|[;,\s])for=("[^"]*"|[^;,\s]*)')
_WITH_PORT: Final = re.compile(r"^(?:\[([^\]]+)\]|([0-9.]+))(?::\d+)?$")
Address = IPv4Address | IPv6Address


class Peers:
    """Knows the trusted proxies; `trusted` are CIDR blocks with commas, none by default."""

    def __init__(self, trusted: str, header: str) -> None:
        self._trusted = tuple(ip_network(block) for block in filter(None, map(str.strip, trusted.split(","))))
        self._header = header

    def address_of(self, client: str, headers: Any) -> Address | None:
        """The sender of a request whose connection comes from `client` (address:port); None if that is no address."""
        peer = parse_address(client)
        if not self._trusted or peer is None or not self._is_trusted(peer):
            return peer
        found = peer
        for hop in reversed(self._hops(headers)):
            address = parse_address(hop)
            if address is None:
                break  # the last proxy that can be named stands for what it hides
            found = address
            if not self._is_trusted(address):
                break
        return found

    def _hops(self, headers: Any) -> list[str]:
        # Several header lines are one list (RFC 9110, 5.3).
        line = ",".join(headers.get_all(self._header))
        if self._header == "forwarded":
            return [hop.strip('"') for hop in _PAIR.findall(line)]
        return line.split(",") if line else []

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == block.version and address in block for block in self._trusted)


@lru_cache(maxsize=4_096)
def parse_address(text: str) -> Address | None:
    """An address with or without port; IPv4 in IPv6 as IPv4. None if it is none."""
    text = text.strip()
    match = _WITH_PORT.match(text)
    try:
        address = ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        # The server gives IPv6 peers without brackets, the port after the last colon.
        try:
            address = ip_address(text.rpartition(":")[0])
        except ValueError:
            return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def bucket_of(address: Address | None) -> str:
    """The name under which an address is limited: one IPv6 subscriber has a /64 at least."""
    if isinstance(address, IPv6Address):
        return address.packed[:8].hex()
    return str(address)
