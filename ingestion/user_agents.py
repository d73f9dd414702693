"""Operating system and device model out of a user agent, for records whose sender gave neither.

Only what attribution matches on: the families of mobile and desktop systems. A user agent that says nothing gives
nothing; guessing is left out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


class Agent(NamedTuple):
    """What a user agent tells; None where it does not."""

    os_name: str | None
    os_version: str | None
    device_model: str | None


_APPLE: Final = re.compile(r"\((iPhone|iPad|iPod)[^)]*? OS (\d+(?:_\d+)*)")
_ANDROID: Final = re.compile(
    r"Android (\d+(?:\.\d+)*)(?:; [a-z]{2}[-_][A-Za-z]{2})?(?:; ([^;)]+?))?(?: Build/[^;)]*)?[;)]"
)
_MAC: Final = re.compile(r"Mac OS X (\d+(?:[._]\d+)*)")
_WINDOWS: Final = re.compile(r"Windows NT (\d+\.\d+)")
# Words that Android browsers put where the model stands.
_NO_MODEL: Final = frozenset({"K", "Mobile", "Tablet", "wv", "U"})


@lru_cache(maxsize=8_192)
def parse_user_agent(text: str) -> Agent:
    """The system and model that a user agent names."""
    if found := _APPLE.search(text):
        return Agent("iOS" if found[1] != "iPad" else "iPadOS", found[2].replace("_", "."), found[1])
    if found := _ANDROID.search(text):
        model = (found[2] or "").strip()
        return Agent("Android", found[1], model if model and model not in _NO_MODEL else None)
    if found := _WINDOWS.search(text):
        return Agent("Windows", found[1], None)
    if found := _MAC.search(text):
        return Agent("macOS", found[1].replace("_", "."), None)
    if "CrOS" in text:
        return Agent("ChromeOS", None, None)
    return Agent("Linux", None, None) if "Linux" in text else Agent(None, None, None)
