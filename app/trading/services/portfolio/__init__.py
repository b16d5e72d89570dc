"""The portfolio: cash, lots, profit and loss, and the equity curve."""

from app.trading.services.portfolio.service import PortfolioService

__all__ = ["PortfolioService"]
