"""`unmogrowp link`: make a click or impression link of an app, and sign it."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import click

from ingestion.link_signatures import sign
from ingestion.links import EXPIRES, FIELD_OF, SIGNATURE, SIGNED, is_macro
from lakehouse.apps import load_apps
from lakehouse.link_secrets import make_link_secret
from lakehouse.settings import load_settings


@click.command("link")
@click.argument("app_id")
@click.argument("parameters", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option(
    "--base", default="", help="Public address of the endpoint, like https://go.example; default: a path only."
)
@click.option("--impression", is_flag=True, help="An impression link instead of a click link.")
@click.option("--signed", "is_signed", is_flag=True, help="Sign all parameters that are no macros of the network.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="Day (UTC) at whose beginning the signature ends.")
def command(
    app_id: str,
    parameters: tuple[str, ...],
    base: str,
    impression: bool,
    is_signed: bool,
    expires: datetime | None,
) -> None:
    """Print a link of APP_ID with these parameters; values such as {gaid} are left for the network to fill in.

    The first signature makes the link secret of the app, in link_secrets.toml of the home (mode 0600).
    """
    settings = load_settings()
    if app_id not in load_apps(settings).apps:
        raise click.UsageError(f"{app_id} is not registered: run `unmogrowp app {app_id}` first.")
    pairs = []
    for parameter in parameters:
        name, separator, value = parameter.partition("=")
        if not separator or not name or name in (SIGNATURE, SIGNED, EXPIRES):
            raise click.UsageError(f"{parameter} is wrong: give NAME=VALUE, for example partner=meta.")
        pairs.append((name, value))
    if "partner" not in {FIELD_OF.get(name) for name, _ in pairs}:
        raise click.UsageError("partner is missing: every link names the network that shows it, like partner=meta.")
    record_type = "impression" if impression else "click"
    fixed = [name for name, value in pairs if not is_macro(value)]
    if is_signed:
        if len(fixed) < len(pairs):
            pairs.append((SIGNED, ",".join(fixed)))
        if expires is not None:
            pairs.append((EXPIRES, str(int(expires.replace(tzinfo=UTC).timestamp()))))
        pairs.append((SIGNATURE, sign(make_link_secret(settings, app_id), record_type, app_id, pairs)))
    # Macros stay as they are, so that the network finds them.
    query = "&".join(f"{quote(name, safe='')}={v if is_macro(v) else quote(v, safe='')}" for name, v in pairs)
    click.echo(f"{base.rstrip('/')}/v1/{record_type}/{quote(app_id)}?{query}")
