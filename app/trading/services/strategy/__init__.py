"""Strategies: loaded from users' files, run together, unknown to each other."""

from app.trading.services.strategy.loading import StrategyError
from app.trading.services.strategy.runner import StrategyRunner, check_strategies

__all__ = ["StrategyError", "StrategyRunner", "check_strategies"]
