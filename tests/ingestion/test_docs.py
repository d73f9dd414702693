"""`docs/ingestion.md` says what the code does: reasons, routes, statuses, limits, metrics, and examples that work."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from pathlib import Path

import msgspec

from ingestion.bodies import MAX_RECORDS
from ingestion.exact import MAX_DEPTH, MAX_PROPERTIES
from ingestion.links import MAX_PARAMETERS
from ingestion.mapping import SHIPPED, MappingFile
from ingestion.metrics import Metrics
from ingestion.reasons import RECORD_REASONS, REQUEST_REASONS
from ingestion.routes import LINKS, POST_ROUTES, POSTBACK_BYTES
from tests.ingestion.rig import Running

PAGE = (Path(__file__).parents[2] / "docs" / "ingestion.md").read_text(encoding="utf-8")


def test_every_reason_stands_in_the_table_and_no_other() -> None:
    table = PAGE.partition("### Why a record is refused")[2].partition("### Limits")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, flags=re.MULTILINE)) == RECORD_REASONS


def test_every_route_and_status_is_named() -> None:
    assert {*POST_ROUTES, *LINKS} <= set(re.findall(r"/v1/\w+|/inappevent", PAGE))
    table = PAGE.partition("### Answers")[2].partition("Segment routes")[0]
    named = {
        int(status) for row in re.findall(r"^\| ([\d, ]+) \|", table, flags=re.MULTILINE) for status in row.split(",")
    }
    assert named == {200, 204, 207, 302, 400, 422} | {status for status, _ in REQUEST_REASONS.values()}


def test_limits_are_those_of_the_code() -> None:
    assert f"{POSTBACK_BYTES // 1024} KiB on Apple's routes" in PAGE
    assert f"| parameters of a link | {MAX_PARAMETERS} |" in PAGE
    for number in (MAX_RECORDS, MAX_PROPERTIES):
        assert f"{number:,}" in PAGE
    assert f"{MAX_DEPTH} levels" in PAGE


def test_metrics_that_are_named_exist() -> None:
    text = Metrics().text().decode()
    for name in re.findall(r"`(unmogrowp_ingest_\w+)`", PAGE):
        assert f"# HELP {name}" in text or f"# HELP {name.removesuffix('_total')}_total" in text, name


def test_the_example_is_accepted(endpoint: Running) -> None:
    example = PAGE.partition("-d '")[2].partition("'\n")[0]
    assert endpoint.post(example.encode()).json["accepted"] == 1
    assert json.loads(example)["app_id"] == "game.ios"


def test_the_mapping_of_the_page_is_a_mapping() -> None:
    text = PAGE.partition("which column is which field:\n\n")[2].partition("\nColumns that are not mapped")[0]
    assert msgspec.convert(tomllib.loads(text), MappingFile).record_id.columns == ("receipt_no",)


def test_what_the_page_on_importing_says_of_mappings() -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
    example = page.rpartition("`given = true`.\n\n")[2]
    file = msgspec.convert(tomllib.loads(textwrap.dedent(example)), MappingFile)
    assert [rule.record_type for rule in file.rules()] == ["event", "session"]
    table = page.partition("Everything a mapping may say:")[2].partition("With `[[records]]`")[0]
    named = set(
        re.findall(r"`\[*(\w+)(?:\.FIELD)?\]*`", "".join(re.findall(r"^\| (.+?) \|", table, flags=re.MULTILINE)))
    )
    assert named == {field.name for field in msgspec.structs.fields(MappingFile)}
    assert {path.stem for path in SHIPPED.glob("*.toml")} <= set(re.findall(r"`(\w+)`", page))
