"""``/metrics``: the server in Prometheus' words, from a registry of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.api.answers import REASONS
from app.api.hub import Hub
from app.api.rates import Rates

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession, SystemManager

STATES = ("STOPPED", "STARTING", "RUNNING", "PAUSED", "STOPPING", "COMPLETED", "FAILED")


class SessionCollector(Collector):
    """Asks the session when Prometheus asks; nothing is counted twice."""

    def __init__(self, manager: SystemManager, hub: Hub, rates: Rates) -> None:
        self._manager = manager
        self._hub = hub
        self._rates = rates

    def collect(self) -> Iterable[Metric]:
        session = self._manager.session
        yield CounterMetricFamily(
            "tapedeck_items_delivered", "Items delivered.", self._rates.items_total
        )
        yield CounterMetricFamily(
            "tapedeck_slices_delivered", "Slices delivered.", self._rates.slices_total
        )
        yield GaugeMetricFamily(
            "tapedeck_items_per_second", "Items delivered a second, of the last 5 seconds.",
            self._rates.items_per_second(),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "tapedeck_stream_clients", "WebSocket clients.", len(self._hub.clients)
        )
        yield _states(str(session.state) if session is not None else "STOPPED")
        if session is not None:
            yield from _session_metrics(session)


def _states(now: str) -> Metric:
    family = GaugeMetricFamily(
        "tapedeck_session_state", "1 for the session's present state.", labels=["state"]
    )
    for state in STATES:
        family.add_metric([state], float(state == now))
    return family


def _session_metrics(session: ReplaySession) -> Iterable[Metric]:
    status = session.status()
    yield GaugeMetricFamily(
        "tapedeck_lag_seconds", "Wall time behind the schedule.", (status.lag_ns or 0) / 1e9
    )
    yield GaugeMetricFamily("tapedeck_speed", "Market seconds a wall second.", status.speed or 0)
    yield GaugeMetricFamily(
        "tapedeck_market_time_seconds", "Simulated time, seconds since the epoch.",
        (status.time_ns or 0) / 1e9,
    )  # fmt: skip
    discards = CounterMetricFamily(
        "tapedeck_discarded", "Items of this session not delivered.", labels=["reason"]
    )
    for reason in REASONS:
        discards.add_metric([reason], status.discarded.get(reason, 0))
    yield discards
    depths: dict[str, int] = defaultdict(int)
    for stream in session.stream_stats():
        depths[stream.channel] += stream.queued
    queues = GaugeMetricFamily(
        "tapedeck_queue_rows", "Rows read and not yet delivered.", labels=["channel"]
    )
    for channel, rows in sorted(depths.items()):
        queues.add_metric([channel], rows)
    yield queues


def build_registry() -> CollectorRegistry:
    """A registry of its own, so that several servers of a process do not collide."""
    return CollectorRegistry(auto_describe=False)
