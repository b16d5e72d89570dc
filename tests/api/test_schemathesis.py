"""Requests generated from the OpenAPI page: no 5xx, and every answer is what the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import DataObject, data
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.api.small_catalog import build
from tests.api.talk import START
from tests.conftest import StartServer


@pytest.fixture(params=["without a session", "with a session"])
def page(request: pytest.FixtureRequest, server: StartServer, tmp_path: Path) -> Any:
    """The page of a real server over a catalog of an hour a day."""
    url = server(build(tmp_path / "catalog", minutes=60), http_max_wait_seconds=0.1)
    if request.param == "with a session":
        with httpx.Client(base_url=url + "/api/v1", timeout=20) as client:
            assert client.post("/session", json=START | {"start_paused": True}).is_success
            client.post("/session/step", json={"unit": "slice", "count": 200})
    return schemathesis.openapi.from_url(url + "/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_generated_requests(page: Any, mode: GenerationMode) -> None:
    count = 0

    @settings(
        max_examples=25, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=data())
    def check_call(data: DataObject) -> None:
        nonlocal count
        case = data.draw(strategy)
        answer = case.call(timeout=10)
        assert answer.status_code < 500, case.as_curl_command()
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])
        count += 1

    for found in page.get_all_operations():
        call = found.ok()
        if mode is GenerationMode.NEGATIVE and not (list(call.iter_parameters()) or call.body):
            continue  # nothing to get wrong
        strategy = call.as_strategy(generation_mode=mode)
        check_call()
    assert count > 100
