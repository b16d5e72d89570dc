"""The clock: the only source of simulated time, and its one writer."""

from app.managers.time_manager.time_manager import ClockWriter, TimeManager, View
from app.managers.time_manager.wall import Wall

__all__ = ["ClockWriter", "TimeManager", "View", "Wall"]
