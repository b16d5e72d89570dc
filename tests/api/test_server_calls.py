"""Health, readiness, metrics and the OpenAPI page."""

from __future__ import annotations

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Fake
from tests.api.fake_manager import bar_window
from tests.api.talk import talk
from tests.api.test_requests import check


def samples(url: str) -> dict[tuple[str, str], float]:
    """By name and the one label's value."""
    text = httpx.get(url + "/metrics", timeout=60).text
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_health_and_readiness(real: httpx.Client, fake: Fake) -> None:
    root = str(real.base_url).removesuffix("/api/v1/")
    assert httpx.get(root + "/health", timeout=60).json() == {"status": "ok"}
    assert httpx.get(root + "/ready", timeout=60).json() == {"status": "ready"}
    assert real.get("/ready").json() == {"status": "ready"}
    check(httpx.get(fake.url + "/ready", timeout=60), 503, "the fake has no catalog")


def test_metrics_of_a_real_session(played: httpx.Client) -> None:
    found = samples(str(played.base_url).removesuffix("/api/v1/"))
    status = played.get("/session").json()
    items = status["progress"]["items_delivered"]
    assert found["tapedeck_items_delivered_total", ""] == items
    assert found["tapedeck_slices_delivered_total", ""] == status["seq"]
    assert found["tapedeck_items_per_second", ""] > 0
    assert found["tapedeck_queue_rows", "bars_1m"] == 0
    assert found["tapedeck_lag_seconds", ""] == 0
    assert found["tapedeck_discarded_total", "late"] == 0
    assert found["tapedeck_session_state", "COMPLETED"] == 1
    assert found["tapedeck_session_state", "RUNNING"] == 0
    assert found["tapedeck_window_seconds_count", ""] > 0
    assert found["tapedeck_slice_seconds_count", ""] > 0


def test_metrics_count_stream_clients(fake: Fake) -> None:
    assert samples(fake.url)["tapedeck_stream_clients", ""] == 0
    assert samples(fake.url)["tapedeck_session_state", "STOPPED"] == 1
    session = fake.start()
    session.deliver(bar_window(1, 3))
    with talk(fake.url):
        assert samples(fake.url)["tapedeck_stream_clients", ""] == 1
    assert samples(fake.url)["tapedeck_items_delivered_total", ""] == 6


def test_openapi_names_every_call_field_and_problem(fake: Fake) -> None:
    page = httpx.get(fake.url + "/openapi.json", timeout=60).json()
    assert set(page["paths"]) == {
        "/api/v1/session", "/api/v1/session/pause", "/api/v1/session/resume",
        "/api/v1/session/stop", "/api/v1/session/step", "/api/v1/session/days", "/api/v1/time",
        "/api/v1/session/seek", "/api/v1/session/run-to",
        "/api/v1/streams", "/api/v1/session/data", "/api/v1/session/data/{symbol}/bars",
        "/api/v1/session/data/{symbol}/trades", "/api/v1/session/data/{symbol}/quotes",
        "/api/v1/session/data/{symbol}/quality", "/api/v1/catalog", "/health", "/ready",
        "/metrics", "/login", "/api/v1/runs", "/api/v1/runs/{id}", "/api/v1/runs/{id}/report",
        "/api/v1/runs/{id}/equity", "/api/v1/runs/{id}/resume", "/api/v1/configs",
        "/api/v1/session/plan",
        "/api/v1/session/account", "/api/v1/session/positions", "/api/v1/session/orders",
        "/api/v1/session/orders/{id}", "/api/v1/session/orders/{id}/why",
        "/api/v1/session/fills", "/api/v1/session/signals",
    }  # fmt: skip
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, calls in page["paths"].items():
        for method, call in calls.items():
            for status, answer in call["responses"].items():
                assert answer["description"], (path, method, status)
                if int(status) >= 400:
                    assert answer["content"] == problem
            assert {"401", "422", "500"} <= set(call["responses"])
    bars = page["paths"]["/api/v1/session/data/{symbol}/bars"]["get"]
    assert "application/vnd.apache.arrow.stream" in bars["responses"]["200"]["content"]
    waits = [p for p in bars["parameters"] if p["name"] == "wait_s"]
    assert waits[0]["schema"]["anyOf"][0]["maximum"] == 60
    assert "HTTPValidationError" not in page["components"]["schemas"]


def test_the_page_needs_nothing_from_elsewhere(fake: Fake) -> None:
    answer = httpx.get(fake.url + "/docs", timeout=60)
    assert answer.headers["content-type"].startswith("text/html")
    assert re.findall(r"https?:|src=|url\(|@import|\"//", answer.text) == []
    assert 'fetch("openapi.json")' in answer.text
    assert httpx.get(fake.url + "/redoc", timeout=60).status_code == 404


def test_probes_may_send_head(real: httpx.Client, fake: Fake) -> None:
    root = str(real.base_url).removesuffix("/api/v1/")
    for url in (root + "/health", root + "/ready", root + "/api/v1/health"):
        answer = httpx.head(url, timeout=60)
        assert (answer.status_code, answer.content) == (200, b"")
    assert httpx.head(fake.url + "/ready", timeout=60).status_code == 503
