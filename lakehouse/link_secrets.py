"""The secrets that sign links, one per app, in a private file of the home (`link_secrets.toml`, mode 0600).

They cannot be kept hashed like write keys, as a signature is made and checked with the secret itself. What is signed is
`ingestion.link_signatures`.
"""

from __future__ import annotations

import secrets
import stat
import tomllib
from typing import Final

import tomli_w

from lakehouse.apps import write_private
from lakehouse.settings import MIN_SECRET_LENGTH, SettingError, Settings

LINK_SECRETS_FILE: Final = "link_secrets.toml"


def load_link_secrets(settings: Settings) -> dict[str, str]:
    """Secret by app id, none if there is no file; SettingError with one sentence when the file is wrong or readable."""
    file = settings.home / LINK_SECRETS_FILE
    if not file.is_file():
        return {}
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise SettingError(f"{LINK_SECRETS_FILE} in the home folder can be read by others: set its mode to 0600.")
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get("secrets", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{LINK_SECRETS_FILE} in the home folder is not valid TOML: {error}.") from None
    if not isinstance(found, dict):
        raise SettingError(f"{LINK_SECRETS_FILE} is wrong: [secrets] is a table of app_id = secret.")
    for app_id, secret in found.items():
        if not isinstance(secret, str) or len(secret) < MIN_SECRET_LENGTH:
            raise SettingError(
                f"{LINK_SECRETS_FILE} is wrong: give {app_id} a text of at least {MIN_SECRET_LENGTH} characters."
            )
    return found


def make_link_secret(settings: Settings, app_id: str) -> str:
    """The secret of an app, made now if it has none."""
    known = load_link_secrets(settings)
    if app_id not in known:
        known[app_id] = secrets.token_urlsafe(32)
        write_private(settings.home / LINK_SECRETS_FILE, tomli_w.dumps({"secrets": known}))
    return known[app_id]
