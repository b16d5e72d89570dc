"""Risk: sizes signals, checks orders against limits and all that is reserved, halts on losses."""

from app.trading.services.risk.service import RiskEngine

__all__ = ["RiskEngine"]
