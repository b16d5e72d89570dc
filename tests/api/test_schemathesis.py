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
from tests.api.trading_place import CONFIG, STRATEGY
from tests.conftest import StartServer


@pytest.fixture(params=["without a session", "with a session", "with an engine"])
def page(request: pytest.FixtureRequest, server: StartServer, tmp_path: Path) -> Any:
    """The page of a real server over a catalog of an hour a day."""
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "once.py").write_text(STRATEGY)
    (configs / "live.yaml").write_text(CONFIG)
    url = server(
        build(tmp_path / "catalog", minutes=60), http_max_wait_seconds=0.1,
        tapedeck_configs_dir=configs,
    )  # fmt: skip
    with httpx.Client(base_url=url + "/api/v1", timeout=60) as client:
        if request.param == "with a session":
            client.post("/session", json=START | {"start_paused": True}).raise_for_status()
            client.post("/session/step", json={"unit": "slice", "count": 200})
        if request.param == "with an engine":
            body = {"config": "live.yaml", "start_paused": True}
            client.post("/session", json=body).raise_for_status()
            client.post("/session/step", json={"unit": "bar", "count": 20}).raise_for_status()
            order = {"symbol": "BAC", "side": "buy", "quantity": 1, "type": "limit"}
            sent = client.post("/session/orders", json=order | {"limit_price": 1, "tif": "gtc"})
            assert sent.json()["order"]["state"] == "working"
    return schemathesis.openapi.from_url(url + "/openapi.json", timeout=60)


@pytest.mark.timeout(600)  # thousands of requests: on a busy machine they take their time
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_generated_requests(page: Any, mode: GenerationMode) -> None:
    count = 0
    trades = (
        httpx.get(f"{page.get_base_url()}/api/v1/session/account", timeout=60).status_code == 200
    )

    @settings(
        max_examples=25, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=data())
    def check_call(data: DataObject) -> None:
        nonlocal count
        case = data.draw(strategy)
        answer = case.call(timeout=60)
        assert answer.status_code < 500, case.as_curl_command()
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])
        count += 1

    for found in page.get_all_operations():
        call = found.ok()
        if trades and not call.path.startswith("/api/v1/session"):
            continue  # the same without an engine
        if mode is GenerationMode.NEGATIVE and not (list(call.iter_parameters()) or call.body):
            continue  # nothing to get wrong
        strategy = call.as_strategy(generation_mode=mode)
        check_call()
    assert count > 100
