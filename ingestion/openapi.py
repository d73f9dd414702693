"""The OpenAPI page, made from the contract's structs and the reason tables, so that it cannot disagree with them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from ingestion import adattributionkit, appsflyer, links, skan
from ingestion.answers import Refusal, Result, SegmentResult
from ingestion.reasons import RECORD_REASONS, REQUEST_REASONS
from ingestion.records import RECORD, STRUCTS
from ingestion.routes import (
    ADATTRIBUTIONKIT,
    ALIASES,
    APPSFLYER,
    CLICK,
    IMPRESSION,
    ONLY,
    SEGMENT_BATCHES,
    SEGMENT_ROUTES,
    SKAN,
)
from lakehouse.contract import SCHEMA_VERSION, sender_fields

_REF: Final = "#/components/schemas/{name}"
_HEADERS: Final = {
    "X-Request-Id": "The sender's own id if it is sane, else ours",
    "Retry-After": "Seconds",
    "WWW-Authenticate": "How to send a write key",
    "Allow": "The methods of this path",
    "Location": "Where the person goes",
}
# Headers that every refusal of a status has.
_REFUSAL_HEADERS: Final = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
_JSON: Final = "application/json"
_KEYS: Final[list[dict[str, Any]]] = [{"bearer": []}, {"basic": []}, {"header": []}]
_APP: Final = {"name": "app", "in": "path", "required": True, "schema": {"type": "string"}}
_KIT_NAMES: Final = (adattributionkit.JWS, *adattributionkit.UNSIGNED_NAMES, "ad-interaction-type")
_CONTROLS: Final = {
    links.SIGNATURE: "HMAC-SHA256 of the link under the link secret of the app",
    links.SIGNED: "Names of the parameters that are signed, with commas; all if absent",
    links.EXPIRES: "Unix seconds until which the signature holds",
    links.FORMAT: "gif or 204",
}


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
    refused = {str(status): _refused(status, refusal) for status in sorted({s for s, _ in REQUEST_REASONS.values()})}
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
    appsflyer_answers = {
        "200": {"description": "The event is accepted and durable.", "content": taken},
        "400": {"description": "The event is rejected with its reason.", "content": taken},
    }
    missing = {"404": refused["404"], "405": refused["405"]}
    to_store = "To the store, the web page or a declared deep link."
    click = {"302": {"description": to_store, "headers": {"Location": _header("Location")}}} | missing
    impression = {
        "200": {"description": "A transparent GIF of one pixel.", "content": {"image/gif": {}}},
        "204": {"description": "No body, if no image was asked for."},
        "429": refused["429"],
        "503": refused["503"],
    } | missing
    any_object = {_JSON: {"schema": {"type": "object"}}}
    calls = {"batch": {"type": "array", "items": {"type": "object"}}}
    several_calls = {_JSON: {"schema": {"type": "object", "properties": calls, "required": ["batch"]}}}
    several = _several(_ref("Record"))
    paths = {"/v1/events": {"post": _post("Send records: one object, an array, or NDJSON", several, events | refused)}}
    for route, record_type in ONLY.items():
        only = _several(_ref(STRUCTS[record_type].__name__))
        paths[route] = {"post": _post(f"Send {record_type} records, and no others", only, events | refused)}
    for route in SEGMENT_ROUTES:
        name = route.rpartition("/")[2]
        body = several_calls if route in SEGMENT_BATCHES else any_object
        paths[route] = {"post": _post(f"Segment-compatible `{name}`", body, segment | refused)}
    for route, text, names in (
        (SKAN, "SKAdNetwork postback (2.1 to 4.0), as Apple's devices send it", ("app-id", *skan.NAMES)),
        (ADATTRIBUTIONKIT, "AdAttributionKit postback, as Apple's devices send it", _KIT_NAMES),
    ):
        answers = {status: events[status] for status in ("200", "400", "422")}
        paths[route] = {"post": _post(text, _object(names), answers | refused) | {"security": []}}
    paths[f"{APPSFLYER}/{{app}}"] = {
        "post": _post("AppsFlyer-compatible server-to-server event", _appsflyer_event(), appsflyer_answers | refused)
        | {"parameters": [_APP], "security": [*_KEYS, {"authentication": []}]}
    }
    paths[f"{CLICK}/{{app}}"] = {"get": _link("Click: record it and go to the store", click, ())}
    paths[f"{IMPRESSION}/{{app}}"] = {"get": _link("Impression: record it", impression, (links.FORMAT,))}
    for path, route in ALIASES.items():
        post = paths[route]["post"]
        post["description"] = f"{post.get('description', 'Also at')} `{path}`"
    for path, (summary, answers) in _pages().items():
        page_answers = answers | {"405": refused["405"], "429": refused["429"]}
        paths[path] = {"get": {"summary": summary, "responses": page_answers, "security": []}}
    for item in paths.values():
        for operation in item.values():
            for answer in operation["responses"].values():
                answer.setdefault("headers", {})["X-Request-Id"] = _header("X-Request-Id")
    return {
        "openapi": "3.1.0",
        "info": {"title": "UnMoGrowP ingest", "version": str(SCHEMA_VERSION)},
        "security": _KEYS,
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The write key is the user name"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
                "authentication": {"type": "apiKey", "in": "header", "name": "authentication"},
            },
        },
    }


def _pages() -> dict[str, tuple[str, dict[str, Any]]]:
    """What tells of the endpoint itself: summary and answers by path."""
    alive = {"type": "object", "properties": {"alive": {"const": True}}, "required": ["alive"]}
    ready = {"ready": {"type": "boolean"}, "reason": {"type": ["string", "null"]}}
    state = {_JSON: {"schema": {"type": "object", "properties": ready, "required": ["ready", "reason"]}}}
    text, page = {"text/plain": {"schema": {"type": "string"}}}, {_JSON: {"schema": {"type": "object"}}}
    return {
        "/healthz": (
            "The process is alive",
            {"200": {"description": "It is alive.", "content": {_JSON: {"schema": alive}}}},
        ),
        "/readyz": (
            "Whether records are taken",
            {
                "200": {"description": "Records are taken.", "content": state},
                "503": {"description": "Not now, for the reason given.", "content": state},
            },
        ),
        "/metrics": ("Prometheus metrics", {"200": {"description": "Prometheus' text format.", "content": text}}),
        "/openapi.json": ("This page", {"200": {"description": "OpenAPI 3.1.", "content": page}}),
    }


def _refused(status: int, refusal: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"error": refusal}, "required": ["error"]}
    named = _REFUSAL_HEADERS.get(status)
    return {
        "description": " ".join(text for s, text in REQUEST_REASONS.values() if s == status),
        "headers": {named: _header(named)} if named else {},
        "content": {_JSON: {"schema": schema}},
    }


def _header(name: str) -> dict[str, Any]:
    return {"description": _HEADERS[name], "required": True, "schema": {"type": "string"}}


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


def _several(record: dict[str, str]) -> dict[str, Any]:
    one_or_more = {"oneOf": [record, {"type": "array", "items": record}]}
    return {_JSON: {"schema": one_or_more}, "application/x-ndjson": {"schema": record}}


def _object(names: tuple[str, ...]) -> dict[str, Any]:
    return {_JSON: {"schema": {"type": "object", "properties": {name: {} for name in names}}}}


def _appsflyer_event() -> dict[str, Any]:
    texts: dict[str, Any] = {name: {"type": "string"} for name in (*appsflyer.NAMES, "eventCurrency", "eventTime")}
    texts |= {name: {"type": "string", "minLength": 1} for name in ("eventName", "appsflyer_id", "customer_user_id")}
    event = texts | {"eventValue": {"type": ["string", "object"]}, "att": {"type": ["string", "integer"]}}
    who = [{"required": ["appsflyer_id"]}, {"required": ["customer_user_id"]}]
    return {_JSON: {"schema": {"type": "object", "properties": event, "required": ["eventName"], "anyOf": who}}}


def _link(summary: str, responses: dict[str, Any], more: tuple[str, ...]) -> dict[str, Any]:
    texts = {name: links.FIELDS[field].doc for name, field in links.FIELD_OF.items()}
    texts |= {name: text for name, text in _CONTROLS.items() if name != links.FORMAT or name in more}
    listed = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}} for name, text in texts.items()
    ]
    return {"summary": summary, "parameters": [_APP, *listed], "responses": responses, "security": []}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def _listed(reasons: dict[str, str]) -> str:
    return "\n".join(f"- `{code}`: {text}" for code, text in sorted(reasons.items()))
