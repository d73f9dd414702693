"""What is served is what the served description says: every operation, over real HTTP, with requests made from it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ingestion.openapi import openapi_page
from lakehouse.apps import App, new_write_key, save_apps
from lakehouse.settings import Settings
from tests.ingestion.rig import APP, NOW, Running, make_settings, start_thread

PAGE = json.loads(openapi_page())
OPERATIONS = [(method, path) for path, item in sorted(PAGE["paths"].items()) for method in sorted(item)]
WITH_INPUT = [
    (method, path) for method, path in OPERATIONS if PAGE["paths"][path][method].keys() & {"parameters", "requestBody"}
]
# Only Apple's devices can send what these take: what is made up is a reject.
UNSIGNED = ("/v1/skan", "/v1/adattributionkit")
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def register(settings: Settings) -> dict[str, str]:
    """An app that has all that any operation asks for, and a key that opens every route."""
    key, stored = new_write_key("all")
    save_apps(
        settings,
        (App(app_id=APP, platform="ios", app_store_id="525463029", play_store_id="com.game", write_keys=(stored,)),),
    )
    return {"all": key}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with start_thread(make_settings(tmp_path_factory.mktemp("described")), clock=lambda: NOW, register=register) as it:
        yield it


def statuses(
    running: Running, method: str, path: str, mode: str, *, is_ours: bool = False, has_key: bool = True
) -> Counter[int]:
    """Call an operation with requests that fit its description ("positive") or not, and hold the answers against it.

    With `is_ours` the requests name a registered app, so that they get further than the first check.
    """
    # Imported late: only these tests need it, and it takes as long as many of the others do in all.
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    conforms = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    operation = schemathesis.openapi.from_url(f"{running.address.url}/openapi.json")[path][method]
    seen = Counter[int]()

    @EXAMPLES
    @given(operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def call(case: Any) -> None:
        if is_ours:
            if "app" in (case.path_parameters or {}):
                case.path_parameters["app"] = APP
            for record in case.body if isinstance(case.body, list) else [case.body]:
                if isinstance(record, dict) and "app_id" in record:
                    record["app_id"] = APP
        headers = {"x-write-key": running.keys["all"]} if has_key else {}
        reply = case.call_and_validate(headers=headers, checks=conforms)
        seen[reply.status_code] += 1

    call()
    return seen


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_requests_as_described_are_answered_as_described(described: Running, method: str, path: str) -> None:
    seen = statuses(described, method, path, "positive", is_ours=True)
    taken = {200, 204, 207, 302} if path not in UNSIGNED else {422}
    assert seen.keys() & taken, f"no request got far: {seen}"


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_requests_of_strangers_are_answered_as_described(described: Running, method: str, path: str) -> None:
    seen = statuses(described, method, path, "positive", has_key=False)
    assert method == "get" or path in UNSIGNED or set(seen) == {401}


@pytest.mark.parametrize(("method", "path"), WITH_INPUT, ids=lambda part: part)
def test_requests_that_are_not_as_described_are_answered_as_described(
    described: Running, method: str, path: str
) -> None:
    assert statuses(described, method, path, "negative")
