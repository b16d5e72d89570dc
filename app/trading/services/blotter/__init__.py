"""The blotter: orders with their history, fills, signals, positions and the account, to be read."""

from app.trading.services.blotter.service import Blotter
from app.trading.services.blotter.settled import AccountView, Settled, SignalView
from app.trading.services.blotter.story import OrderView, Step

__all__ = [
    "AccountView",
    "Blotter",
    "OrderView",
    "Settled",
    "SignalView",
    "Step",
]
