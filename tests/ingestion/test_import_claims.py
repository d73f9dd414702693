"""Reports kept as claims: only installs, marked as such, under ids of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.import_sources import ImportOptions
from ingestion.importer import ImportFailed, import_file
from lakehouse.apps import App, save_apps
from lakehouse.settings import Settings
from tests.ingestion.appsflyer_reports import EVENT, INSTALL, ORGANIC, TOUCH, VENDOR_APP, report
from tests.ingestion.rig import APP, bronze


@pytest.fixture
def home(settings: Settings) -> Settings:
    save_apps(settings, (App(app_id=APP, platform="ios", store_id=VENDOR_APP.removeprefix("id")),))
    return settings


def write(settings: Settings, text: str) -> Path:
    file = settings.home / "f.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_only_installs_are_kept_and_marked(home: Settings) -> None:
    file = write(home, report([INSTALL, ORGANIC, EVENT, TOUCH]))
    result = import_file(home, file, "appsflyer", options=ImportOptions(as_claims=True))
    assert (result.accepted, result.skipped, result.records) == (2, 2, {"install": 2})
    assert {row["environment"] for row in bronze(home, "bronze_app_events")} == {"claims"}
    again = import_file(home, file, "appsflyer", options=ImportOptions(as_claims=True))
    assert again.accepted == 2
    assert len({row["record_id"] for row in bronze(home, "bronze_app_events")}) == 2, "the same claims"


def test_a_claim_is_not_the_install_of_the_same_row(home: Settings) -> None:
    file = write(home, report([INSTALL]))
    for as_claims in (True, False):
        import_file(home, file, "appsflyer", options=ImportOptions(as_claims=as_claims))
    rows = {row["environment"]: row["record_id"] for row in bronze(home, "bronze_app_events")}
    assert rows.keys() == {"claims", None}
    assert len(set(rows.values())) == 2


def test_what_claims_nothing_is_refused(home: Settings) -> None:
    file = write(home, "{}\n")
    for mapping, sentence in (("native", "leave --claims out"), ("cdnow", "whose record_id has a key")):
        with pytest.raises(ImportFailed, match=sentence):
            import_file(home, file, mapping, options=ImportOptions(app_id=APP, as_claims=True))
