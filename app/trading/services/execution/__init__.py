"""Execution: orders, bars and ticks to fills, by rules that are stated exactly."""

from app.trading.services.execution.simulator import ExecutionSimulator

__all__ = ["ExecutionSimulator"]
