"""The served OpenAPI page and the contract say the same, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingestion import links
from ingestion.openapi import openapi_page
from ingestion.reasons import RECORD_REASONS, REQUEST_REASONS
from ingestion.routes import ALIASES, POST_ROUTES, WITH_APP, resolve
from lakehouse.contract import RECORD_TYPES, Kind, sender_fields

PAGE: dict[str, Any] = json.loads(openapi_page())
SCHEMAS: dict[str, Any] = PAGE["components"]["schemas"]


def schema_of(record_type: str) -> dict[str, Any]:
    mapping = SCHEMAS["Record"]["discriminator"]["mapping"]
    found: dict[str, Any] = SCHEMAS[mapping[record_type].rpartition("/")[2]]
    return found


def test_every_record_type_is_there_and_no_other() -> None:
    assert set(SCHEMAS["Record"]["discriminator"]["mapping"]) == set(RECORD_TYPES)


@pytest.mark.parametrize("record_type", RECORD_TYPES)
def test_fields_are_those_of_the_contract(record_type: str) -> None:
    schema = schema_of(record_type)
    fields = {f.name: f for f in sender_fields(record_type)}
    assert set(schema["properties"]) == set(fields)
    required = {f.name for f in fields.values() if record_type in f.required}
    assert set(schema["required"]) == required
    for name, field in fields.items():
        if name == "record_type":
            continue
        shown = schema["properties"][name]
        assert shown["description"] == field.doc
        options = shown.get("anyOf", [shown])
        if field.kind is Kind.ENUM:
            assert set(options[0]["enum"]) == set(field.choices)
        if field.kind in {Kind.TEXT, Kind.ID, Kind.CODE, Kind.DEVICE_ID} and name != "currency":
            assert options[0]["maxLength"] == field.max_length
        if field.kind is Kind.INSTANT:
            assert options[0]["format"] == "date-time"


def test_routes_are_those_that_are_served() -> None:
    pages = {"/healthz", "/readyz", "/metrics", "/openapi.json"}
    served = {f"{route}/{{app}}" if route in WITH_APP else route for route in {*POST_ROUTES, *WITH_APP}}
    assert set(PAGE["paths"]) == served | pages
    assert all(resolve(path) for path in served)


def test_every_parameter_of_a_link_is_listed() -> None:
    listed = {p["name"]: p for p in PAGE["paths"]["/v1/click/{app}"]["get"]["parameters"]}
    assert set(listed) == {"app", *links.FIELD_OF, links.SIGNATURE, links.SIGNED, links.EXPIRES}
    assert {p["name"] for p in PAGE["paths"]["/v1/impression/{app}"]["get"]["parameters"]} == {*listed, links.FORMAT}
    assert listed["gaid"]["description"] == next(f.doc for f in sender_fields("click") if f.name == "gaid")


def test_other_paths_of_a_route_are_named_at_it() -> None:
    for path, route in ALIASES.items():
        assert path in PAGE["paths"][route]["post"]["description"]


def test_routes_without_a_key_say_so() -> None:
    open_routes = {path for path, item in PAGE["paths"].items() for verb in item.values() if verb.get("security") == []}
    assert open_routes == {
        "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/click/{app}", "/v1/impression/{app}", "/v1/skan",
        "/v1/adattributionkit",
    }  # fmt: skip


def test_reasons_and_statuses_are_named() -> None:
    assert set(SCHEMAS["RejectReason"]["enum"]) == set(RECORD_REASONS)
    statuses = set(PAGE["paths"]["/v1/events"]["post"]["responses"])
    assert statuses == {"200", "207", "400", "422"} | {str(status) for status, _ in REQUEST_REASONS.values()}


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [r for item in value.values() for r in references(item)]
        return [r for item in value for r in references(item)] if isinstance(value, list) else []

    assert {r.rpartition("/")[2] for r in references(PAGE)} <= set(SCHEMAS)
