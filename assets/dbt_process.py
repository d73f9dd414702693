"""dbt's command line as a run calls it: the command `unmogrowp-dbt` takes the arguments of `dbt` and does the same.

It only spends less time on garbage and on its own end, of which a run pays twice; people call `dbt`.
"""

from __future__ import annotations

from typing import NoReturn

from lakehouse.processes import collect_less_often, leave_after


def main() -> NoReturn:
    """Entry point of the console script."""
    collect_less_often()
    from dbt.cli.main import cli

    leave_after(cli)
