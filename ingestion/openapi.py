"""The OpenAPI page, made from the contract's structs and the reason tables, so that it cannot disagree with them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from ingestion.answers import Refusal, Result, SegmentResult
from ingestion.reasons import RECORD_REASONS, REQUEST_REASONS
from ingestion.records import RECORD, STRUCTS
from ingestion.segment import CALLS
from lakehouse.contract import SCHEMA_VERSION, sender_fields

_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"


@cache
def openapi_page() -> bytes:
    """OpenAPI 3.1 as JSON."""
    return msgspec.json.encode(_page())


def _page() -> dict[str, Any]:
    (record, result, segment_result, refusal), components = msgspec.json.schema_components(
        (RECORD, Result, SegmentResult, Refusal), ref_template=_REF
    )
    for record_type, struct in STRUCTS.items():
        _describe(components[struct.__name__], record_type)
    record["description"] = "One record. Fields that are not listed for its type are kept in `properties`."
    components["Record"] = record
    components["RejectReason"] = {"enum": sorted(RECORD_REASONS), "description": _listed(RECORD_REASONS)}
    components["RecordError"]["properties"]["code"] = {"$ref": _REF.format(name="RejectReason")}
    refused = {
        str(status): {
            "description": " ".join(text for s, text in REQUEST_REASONS.values() if s == status),
            "content": {_JSON: {"schema": {"type": "object", "properties": {"error": refusal}}}},
        }
        for status in sorted({status for status, _ in REQUEST_REASONS.values()})
    }
    taken = {_JSON: {"schema": result}}
    events = {
        "200": {"description": "All records are accepted and durable.", "content": taken},
        "207": {"description": "Some records are accepted, the others are named with their reason.", "content": taken},
        "400": {"description": "The body cannot be read; it counts as one reject.", "content": taken},
        "422": {"description": "No record is accepted.", "content": taken},
    }
    segment = {
        "200": {"description": "Taken; rejected calls are named.", "content": {_JSON: {"schema": segment_result}}},
        "400": {"description": "The body cannot be read.", "content": {_JSON: {"schema": segment_result}}},
    }
    any_object = {_JSON: {"schema": {"type": "object"}}}
    several: dict[str, Any] = {
        _JSON: {"schema": {"oneOf": [_ref("Record"), {"type": "array", "items": _ref("Record")}]}}
    }
    several["application/x-ndjson"] = {"schema": _ref("Record")}
    paths = {"/v1/events": {"post": _post("Send records: one object, an array, or NDJSON", several, events | refused)}}
    for name in ("batch", "import", *CALLS):
        paths[f"/v1/{name}"] = {"post": _post(f"Segment-compatible `{name}`", any_object, segment | refused)}
    for path, text in (
        ("/healthz", "The process is alive"),
        ("/readyz", "Records are taken (200) or not now (503)"),
        ("/metrics", "Prometheus metrics"),
        ("/openapi.json", "This page"),
    ):
        paths[path] = {"get": {"summary": text, "responses": {"200": {"description": text}}, "security": []}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "UnMoGrowP ingest", "version": str(SCHEMA_VERSION)},
        "security": [{"bearer": []}, {"basic": []}, {"header": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The write key is the user name"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
            },
        },
    }


def _describe(schema: dict[str, Any], record_type: str) -> None:
    for field in sender_fields(record_type):
        if field.name in schema["properties"]:
            schema["properties"][field.name]["description"] = field.doc
    schema["properties"]["properties"] = {
        "type": ["object", "null"],
        "description": schema["properties"]["properties"]["description"],
    }


def _post(summary: str, content: dict[str, Any], responses: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": responses}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def _listed(reasons: dict[str, str]) -> str:
    return "\n".join(f"- `{code}`: {text}" for code, text in sorted(reasons.items()))
