"""The life cycle of replay sessions; the one place that builds and wires everything."""

from app.managers.lifecycle import State
from app.managers.system_manager.answers import SessionStatus
from app.managers.system_manager.config import SessionConfig, SessionDefaults
from app.managers.system_manager.session import ReplaySession
from app.managers.system_manager.system_manager import SystemManager

__all__ = [
    "ReplaySession",
    "SessionConfig",
    "SessionDefaults",
    "SessionStatus",
    "State",
    "SystemManager",
]
