"""Signed links: what is signed, in which form, and whether a hit carries a valid signature.

`sig` is the hex HMAC-SHA256, under the app's link secret, of

    click\\n<app_id>\\n<name>=<value>&<name>=<value>...

with `impression` for impressions, names and values percent-encoded (all but A-Z a-z 0-9 - . _ ~), and the pairs in
ascending order of this form. Every parameter but `sig` is signed, or, if the link has `signed`, the ones it names with
commas: the rest may be filled in by the network. `signed` and `expires` (Unix seconds) are always signed.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from ingestion.links import EXPIRES, FIELD_OF, SIGNATURE, SIGNED, Pairs
from ingestion.watched_file import WatchedFile
from lakehouse.link_secrets import LINK_SECRETS_FILE, load_link_secrets
from lakehouse.settings import Settings


def sign(secret: str, record_type: str, app_id: str, pairs: Pairs) -> str:
    """The signature of a link with these parameters."""
    text = f"{record_type}\n{app_id}\n{_canonical(_signed_pairs(pairs))}"
    return hmac.digest(secret.encode(), text.encode("utf-8", "surrogatepass"), "sha256").hex()


def is_valid(secret: str | None, record_type: str, app_id: str, pairs: Pairs, at: datetime) -> bool | None:
    """True or False for a signed link, None for one without a signature. Without a secret no signature is valid."""
    given = [value for name, value in pairs if name == SIGNATURE]
    if not given:
        return None
    if secret is None or len(given) > 1:
        return False
    is_right = hmac.compare_digest(sign(secret, record_type, app_id, pairs).encode(), given[0].lower().encode())
    return is_right and all(_is_later(value, at) for name, value in pairs if name == EXPIRES)


def _signed_pairs(pairs: Pairs) -> Pairs:
    lists = [value.split(",") for name, value in pairs if name == SIGNED]
    named = {name.strip() for names in lists for name in names}
    # Another name of a signed field is signed as well: nobody can add `partner` to a link that signs `pid`.
    fields = {FIELD_OF[name] for name in named if name in FIELD_OF}
    return [
        (name, value)
        for name, value in pairs
        if name != SIGNATURE
        and (not lists or name in named or name in (SIGNED, EXPIRES) or FIELD_OF.get(name) in fields)
    ]


def _canonical(pairs: Pairs) -> str:
    return "&".join(sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs))


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def _is_later(text: str, at: datetime) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12 and int(text) >= at.timestamp()


class LinkSecrets:
    """The link secrets of a home, read again when their file changes; a wrong file keeps the last good one."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        """SettingError if the file is there and wrong."""
        self._file = WatchedFile(
            settings.home / LINK_SECRETS_FILE,
            lambda: load_link_secrets(settings),
            what="link secrets",
            monotonic=monotonic,
        )

    def of(self, app_id: str) -> str | None:
        """The secret of an app as of at most a second ago; None if it has none."""
        return self._file.value.get(app_id)
