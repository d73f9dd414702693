"""`unmogrowp app`: the apps of `apps.toml`, their write keys and the web pages that may send for them.

A running endpoint follows every change within a second. Keys are shown once, when they are made, and kept hashed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click
from pydantic import ValidationError

from lakehouse.apps import SCOPES, App, WriteKey, changing_apps, load_apps, new_write_key, save_apps
from lakehouse.contract import PLATFORMS
from lakehouse.home import prepare_home
from lakehouse.settings import Settings, load_settings


class AppGroup(click.Group):
    """`unmogrowp app my.app ...` is short for `unmogrowp app add my.app ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["add", *args]
        return super().parse_args(ctx, args)


def _instant(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """`now`, or RFC 3339 with an offset."""
    if value is None or value == "now":
        return None if value is None else datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value} is not a time like 2026-03-01T09:30:00Z.") from None
    if instant.tzinfo is None:
        raise click.BadParameter(f"{value} has no UTC offset: end it with Z or +00:00.")
    return instant.astimezone(UTC)


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("app", cls=AppGroup)
def command() -> None:
    """Register apps and manage their write keys."""


@command.command("add")
@click.argument("app_id")
@click.option("--platform", type=click.Choice(PLATFORMS), help="Needed for a new app.")
@click.option("--store-id", default="", help="Id in the app store, by which vendors call the app in their exports.")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA zone of the app's calendar days.")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217 code.")
@click.option("--implied-installs", is_flag=True, help="The app sends no installs: its first record counts as one.")
@click.option("--play-store-id", default="", help="Package name, for click links.")
@click.option("--app-store-id", default="", help="Digits, for click links and Apple's postbacks.")
@click.option("--web-url", default="", help="Where clicks from other devices go.")
@click.option("--key-name", default="default", show_default=True, help="Name of the new write key.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Routes of the key; default all.")
@click.option("--expires-at", callback=_instant, help="When the key ends; default never.")
@_JSON
def add(
    app_id: str,
    platform: str | None,
    store_id: str,
    time_zone: str,
    currency: str,
    implied_installs: bool,
    play_store_id: str,
    app_store_id: str,
    web_url: str,
    key_name: str,
    scopes: tuple[str, ...],
    expires_at: datetime | None,
    as_json: bool,
) -> None:
    """Register APP_ID, or add a write key to it. The key is shown once and kept only hashed."""
    key, stored = new_write_key(key_name, scopes or SCOPES, expires_at)

    def change(app: App | None) -> App:
        if app is not None:
            return app.model_copy(update={"write_keys": (*app.write_keys, stored)})
        if platform is None:
            raise click.UsageError(f"--platform is needed to register {app_id}; one of {', '.join(PLATFORMS)}.")
        return App(
            app_id=app_id,
            platform=platform,
            store_id=store_id,
            time_zone=time_zone,
            currency=currency,
            implied_installs=implied_installs,
            play_store_id=play_store_id,
            app_store_id=app_store_id,
            web_url=web_url,
            write_keys=(stored,),
        )

    _change(app_id, change)
    _show_key(app_id, key, stored, as_json, f"{app_id} is registered. Its write key, shown only now:")


@command.command("rotate")
@click.argument("app_id")
@click.argument("key")
@click.option("--overlap-hours", default=24.0, show_default=True, help="How long the old key is still taken.")
@_JSON
def rotate(app_id: str, key: str, overlap_hours: float, as_json: bool) -> None:
    """Make a new key in place of KEY (a name or an id of `unmogrowp app list`), which ends after the overlap."""
    end = datetime.now(UTC) + timedelta(hours=overlap_hours)
    made: list[tuple[str, WriteKey]] = []

    def change(app: App | None) -> App:
        old = _key_of(app, app_id, key)
        assert app is not None
        made[:] = [new_write_key(old.name, old.scopes)]
        ending = old.model_copy(update={"expires_at": min(end, old.expires_at or end)})
        kept = tuple(ending if k is old else k for k in app.write_keys)
        return app.model_copy(update={"write_keys": (*kept, made[0][1])})

    _change(app_id, change)
    _show_key(app_id, *made[0], as_json, f"The old key ends at {end:%Y-%m-%dT%H:%M:%SZ}. The new one, shown only now:")


@command.command("expire")
@click.argument("app_id")
@click.argument("key")
@click.option("--at", callback=_instant, default="now", show_default=True, help="When the key ends.")
def expire(app_id: str, key: str, at: datetime) -> None:
    """End KEY (a name or an id of `unmogrowp app list`)."""

    def change(app: App | None) -> App:
        old = _key_of(app, app_id, key)
        assert app is not None
        ended = old.model_copy(update={"expires_at": at})
        return app.model_copy(update={"write_keys": tuple(ended if k is old else k for k in app.write_keys)})

    _change(app_id, change)
    click.echo(f"The key {key} of {app_id} ends at {at:%Y-%m-%dT%H:%M:%SZ}.")


@command.command("origins")
@click.argument("app_id")
@click.argument("origins", nargs=-1)
def set_origins(app_id: str, origins: tuple[str, ...]) -> None:
    """Let pages of ORIGINS (like https://shop.example) send for APP_ID, and no others; without any, none."""
    _change(app_id, lambda app: _known(app, app_id, origins=list(origins)))
    click.echo(f"{app_id} takes requests from pages of {', '.join(origins) or 'no origin'}.")


@command.command("list")
@click.argument("app_id", required=False)
@_JSON
def show(app_id: str | None, as_json: bool) -> None:
    """List apps with their keys, scopes and expiries; keys themselves are not known."""
    now = datetime.now(UTC)
    apps = load_apps(load_settings()).apps
    if app_id is not None and app_id not in apps:
        raise click.UsageError(_unknown(app_id))
    keys = [(app, key) for app in apps.values() if app_id in (None, app.app_id) for key in app.write_keys]
    if as_json:
        click.echo(json.dumps([_row(app, key, now) for app, key in keys]))
        return
    for app, key in keys:
        until = f" until {key.expires_at:%Y-%m-%dT%H:%M:%SZ}" if key.expires_at else ""
        click.echo(f"{app.app_id} {key.name} {key.key_id} {','.join(key.scopes)} {_state(key, now)}{until}")


def _row(app: App, key: WriteKey, now: datetime) -> dict[str, object]:
    return {
        "app_id": app.app_id,
        "key": key.name,
        "id": key.key_id,
        "scopes": list(key.scopes),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "state": _state(key, now),
    }


def _state(key: WriteKey, now: datetime) -> str:
    return "expired" if key.is_expired(now) else "ending" if key.expires_at else "valid"


def _change(app_id: str, change: Callable[[App | None], App]) -> None:
    """Save the app that `change` makes of the registered one (None: not registered)."""
    settings: Settings = load_settings()
    prepare_home(settings)
    with changing_apps(settings):
        apps = load_apps(settings).apps
        try:
            app = change(apps.get(app_id))
        except ValidationError as error:
            raise click.UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
        save_apps(settings, tuple((apps | {app_id: app}).values()))


def _known(app: App | None, app_id: str, **changes: object) -> App:
    """The registered app with changes, checked as when it is read."""
    if app is None:
        raise click.UsageError(_unknown(app_id))
    return App(**(app.model_dump() | changes))


def _key_of(app: App | None, app_id: str, key: str) -> WriteKey:
    """The one key of an app with this id, or else the one valid key of this name."""
    if app is None:
        raise click.UsageError(_unknown(app_id))
    now = datetime.now(UTC)
    by_id = [k for k in app.write_keys if k.key_id == key]
    named = [k for k in app.write_keys if k.name == key and k.expires_at is None]
    named = named or [k for k in app.write_keys if k.name == key and not k.is_expired(now)]
    found = by_id or named
    if not found:
        raise click.UsageError(f"{app_id} has no valid key {key}; see `unmogrowp app list {app_id}`.")
    if len(found) > 1:
        raise click.UsageError(
            f"{app_id} has {len(found)} keys named {key}; name one by its id: {', '.join(k.key_id for k in found)}."
        )
    return found[0]


def _unknown(app_id: str) -> str:
    return f"{app_id} is not registered; `unmogrowp app add {app_id} --platform ...` does it."


def _show_key(app_id: str, key: str, stored: WriteKey, as_json: bool, sentence: str) -> None:
    if as_json:
        click.echo(json.dumps({"app_id": app_id, "write_key": key, "id": stored.key_id}))
    else:
        click.echo(f"{sentence}\n{key}")
