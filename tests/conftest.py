"""Which tests stay together on one worker: those that share what is dear to make.

A module keeps its fixtures for itself, so its tests are one group; all tests of dbt share one dbt process, which
imports and parses once. Modules that share more say so themselves with a mark of their own. Groups are begun in the
order of their files (`--no-loadscope-reorder`): by number of tests the long ones would come last, one worker idle.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            module = item.nodeid.partition("::")[0]
            item.add_marker(pytest.mark.xdist_group("dbt" if module.startswith("tests/dbt/") else module))
