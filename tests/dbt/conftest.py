"""One dbt process for all tests of the folder, and one lake of worked examples, built once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse.apps import save_apps
from tests.dbt import test_cases, test_retention
from tests.dbt.runner import Dbt
from tests.dbt.world import Home


@pytest.fixture(scope="session")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    runner = Dbt(tmp_path_factory.mktemp("dbt"))
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def worked_examples(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The cases and the lives of `test_retention` in one lake, each an app of its own; the data tests hold on it.

    Some cases are about amounts that have no rate.
    """
    home = Home(tmp_path_factory.mktemp("examples"))
    save_apps(home.settings, [*test_cases.apps(), *test_retention.apps()])
    home.land([*test_cases.records(), *test_retention.records()])
    assert dbt(home.folder, "seed").success
    test_cases.add_rules(home.lake)
    home.add_rules(test_retention.RULES)
    without = ("tag:predictions", "assert_every_amount_has_a_rate")
    outcome = dbt(home.folder, "build", "--exclude", *without, "--exclude-resource-type", "unit_test", "seed")
    assert outcome.success, outcome.failures or outcome.error
    return home
