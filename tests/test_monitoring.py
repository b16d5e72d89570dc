"""The dashboard and its configuration: every metric in it is one that a real server exports."""

from __future__ import annotations

import importlib
import itertools
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.client import Tapedeck
from tests.client.small_catalog import DAYS, write_small_catalog
from tests.conftest import StartServer

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads(
    (DEPLOY / "grafana" / "dashboards" / "tapedeck.json").read_text("utf-8")
)
yaml: Any = importlib.import_module("yaml")  # it ships no types


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def labels_of(query: str) -> set[str]:
    return set(re.findall(r"\{\{(\w+)\}\}", query))


@pytest.fixture
def metrics(server: StartServer, tmp_path: Path) -> list[Metric]:
    """What a server exports while its session runs."""
    url = server(write_small_catalog(tmp_path / "catalog"))
    with Tapedeck(url) as deck:
        deck.start("*", *DAYS, speed=0, start_paused=True)
        deck.step("bar", 3)
        deck.set_speed(1)
        deck.resume()
        return list(text_string_to_metric_families(deck.metrics()))


@pytest.fixture
def exported(metrics: list[Metric]) -> dict[str, set[str]]:
    """Names of samples and their labels."""
    return {sample.name: set(sample.labels) for family in metrics for sample in family.samples}


def test_every_metric_of_the_dashboard_is_exported(exported: dict[str, set[str]]) -> None:
    named = {name for query in queries() for name in re.findall(r"tapedeck_\w+", query)}
    assert named
    assert named <= set(exported)
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            (metric,) = re.findall(r"tapedeck_\w+", target["expr"])
            assert labels_of(target["legendFormat"]) <= exported[metric], panel["title"]


def test_every_metric_that_is_exported_is_shown(exported: dict[str, set[str]]) -> None:
    shown = " ".join(queries())
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in exported}
    assert not [name for name in families if name not in shown]


def test_queries_ask_of_each_metric_what_its_kind_has(metrics: list[Metric]) -> None:
    kinds = {sample.name: family.type for family in metrics for sample in family.samples}
    states = {
        sample.labels["state"]: sample.value
        for family in metrics
        for sample in family.samples
        if sample.name == "tapedeck_session_state"
    }
    assert [state for state, value in states.items() if value == 1] == ["RUNNING"]
    for query in queries():
        (name,) = re.findall(r"tapedeck_\w+", query)
        assert ("rate(" in query) <= (kinds[name] in {"counter", "histogram"}), query
        assert ("histogram_quantile(" in query) == name.endswith("_bucket"), query
        assert (kinds[name] == "histogram") <= ("sum by (le)" in query), query
        assert query.count("(") == query.count(")"), query


def test_panels_are_of_grafanas_model() -> None:
    assert {"uid", "title", "schemaVersion", "time", "panels"} <= set(DASHBOARD)
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(titles) == len(set(titles))
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in {"stat", "timeseries"}, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["overrides"] == []
        names = [target["refId"] for target in panel["targets"]]
        assert names == sorted(set(names)), panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_panels_have_a_place_of_their_own() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x, y in itertools.product(
            range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"]),
            range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"]),
        )
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_the_parts_name_one_another() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    more = read("monitoring.yaml")
    (job,) = read("prometheus.yml")["scrape_configs"]
    (host, port) = job["static_configs"][0]["targets"][0].split(":")
    assert compose["services"][host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert Path(job["authorization"]["credentials_file"]).name in more["secrets"]
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert httpx.URL(source["url"]).host in more["services"]
    used = {target["datasource"]["uid"] for p in DASHBOARD["panels"] for target in p["targets"]}
    assert used == {source["uid"]}
    for service in more["services"].values():
        for volume in service["volumes"]:
            assert (ROOT / volume.split(":")[0]).exists(), volume
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])  # a version, not the newest
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    (provider,) = read("grafana/provisioning/dashboards/tapedeck.yaml")["providers"]
    assert any(provider["options"]["path"] in v for v in more["services"]["grafana"]["volumes"])
