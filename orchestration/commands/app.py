"""`unmogrowp app`: register an app in `apps.toml` and make a write key for it."""

from __future__ import annotations

import json

import click
from pydantic import ValidationError

from lakehouse.apps import App, load_apps, new_write_key, save_apps
from lakehouse.contract import PLATFORMS
from lakehouse.home import prepare_home
from lakehouse.settings import load_settings


@click.command("app")
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
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
    as_json: bool,
) -> None:
    """Register APP_ID, or add a write key to it. The key is shown once and kept only hashed."""
    settings = load_settings()
    prepare_home(settings)
    apps = load_apps(settings).apps
    key, stored = new_write_key(key_name)
    if app_id in apps:
        app = apps[app_id].model_copy(update={"write_keys": (*apps[app_id].write_keys, stored)})
    else:
        if platform is None:
            raise click.UsageError(f"--platform is needed to register {app_id}; one of {', '.join(PLATFORMS)}.")
        try:
            app = App(
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
        except ValidationError as error:
            raise click.UsageError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    save_apps(settings, tuple((apps | {app_id: app}).values()))
    if as_json:
        click.echo(json.dumps({"app_id": app_id, "write_key": key}))
    else:
        click.echo(f"{app_id} is registered. Its write key, shown only now:\n{key}")
