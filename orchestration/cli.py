"""The command line `unmogrowp`: the list of commands, and how errors become one sentence and an exit code.

A command's module is imported when the command is called, so that `unmogrowp ingest` loads no orchestrator. What a
command does is in `orchestration.commands`; exit codes: 0 done, 1 failed, 2 wrong usage or setting.
"""

from __future__ import annotations

import importlib
from typing import Final, NoReturn

import click

from lakehouse.processes import leave, leave_after
from lakehouse.settings import SettingError

# Command -> (module below orchestration.commands, one line of help); the help must not cost an import.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("demo", "Run the whole platform on a simulated world and on real input."),
    "up": ("up", "Start endpoint, ClickHouse front, Dagster and MLflow."),
    "ingest": ("ingest", "Serve the ingest endpoint alone."),
    "serve": ("serve", "Serve the embedded ClickHouse over HTTP."),
    "import": ("import_file", "Import a file of records through a mapping."),
    "simulate": ("simulate", "Generate a seeded mobile world, into files or to the endpoint."),
    "run": ("run", "Bring everything up to date, to published marts."),
    "query": ("query", "Query the published marts."),
    "status": ("status", "Show versions, watermarks, freshness and failing checks."),
    "app": ("app", "Register an app and make its write key."),
    "rules": ("rules", "Check the rule files of this home."),
    "whatif": ("whatif", "Decide again under other rules and show what would change."),
    "explain": ("explain", "Tell why an install is credited as it is."),
    "sensitivity": ("sensitivity", "Show decisions under many windows at once."),
    "link": ("link", "Make a click or impression link of an app, signed if you like."),
    "settings": ("show_settings", "List every setting with its value and meaning."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orchestration.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="unmogrowp")
def cli() -> None:
    """Unified Mobile Growth Platform: attribution and growth analytics on your own storage.

    All data lives below UNMOGROWP_HOME (default: .unmogrowp in the working directory).
    """


class Failure(click.ClickException):
    """What a person can mend: one sentence on standard error, exit code 1."""


def main() -> NoReturn:
    """Entry point of the console script."""
    try:
        leave_after(cli)
    except SettingError as error:
        click.echo(f"unmogrowp: {error}", err=True)
        leave(2)
