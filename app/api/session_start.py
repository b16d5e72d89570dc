"""How a session is started: of symbols and dates, or of a configuration, and then it trades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.api.problems import field_error
from app.api.schemas_session import SessionStart
from app.api.services import Services
from app.catalog.location import redact_uri
from app.errors import ConfigError
from app.managers.system_manager import SessionConfig
from app.managers.system_manager.backtest import open_store
from app.managers.system_manager.configs import read_server_config
from app.managers.system_manager.lockstep import Chair, Rules
from app.managers.system_manager.plan import TradingPlan, session_config
from app.managers.system_manager.session_record import RecordPlan
from app.trading.events import MANUAL
from app.trading.sections import StrategySection
from settings import Settings

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession

_WITH_CONFIG = ("config", "set")
_WITH_BOTH = ("speed", "start_paused", "record")
_NEEDED = ("symbols", "start", "end")


def misfits(body: SessionStart) -> list[dict[str, Any]]:
    """Fields that go, or do not go, with a configuration, as entries of a 422."""
    given = {name for name in body.model_fields_set if getattr(body, name) is not None}
    if body.config is not None:
        others = sorted(given.difference(_WITH_CONFIG, _WITH_BOTH))
        return [_misfit(body, name, "without config, which says it") for name in others]
    missing = [name for name in _NEEDED if name not in given]
    found = [
        field_error(f"body.{name}", "Field required", None, "required, or a config")
        for name in missing
    ]
    alone = [name for name in _WITH_CONFIG if name in given]
    return found + [_misfit(body, name, "with config") for name in alone]


def _misfit(body: SessionStart, name: str, allowed: str) -> dict[str, Any]:
    came = "came without config" if body.config is None else "came with config"
    return field_error(f"body.{name}", came, getattr(body, name), allowed)


def start(services: Services, body: SessionStart) -> ReplaySession:
    """Start the session. Blocks."""
    if body.config is not None:
        return _start_trading(services, body.config, body)
    wish = SessionConfig(**body.model_dump(exclude={*_WITH_CONFIG, "record"}))
    if not body.record:
        return services.manager.start_session(wish)
    settings = services.settings
    uri = settings.data_catalog_uri
    named = None if uri is None else redact_uri(uri)
    plan = RecordPlan(open_store(settings), wish, named)
    return services.manager.start_session(wish, record=plan)


def _start_trading(services: Services, name: str, body: SessionStart) -> ReplaySession:
    """A session of a configuration of the folder; NotFoundError where there is no such folder."""
    settings = services.settings
    file = read_server_config(settings, name, body.set or ())
    if any(strategy.id == MANUAL for strategy in file.config.strategies):
        raise ConfigError([f"{name}: strategies: {MANUAL!r} is the id of orders from outside"])
    plan = TradingPlan(
        file.config, file.folder, None if body.record is False else open_store(settings),
        watched=True, catalog=file.config.data.catalog,
        chairs=_chairs(settings, file.config.strategies),
    )  # fmt: skip
    wish = session_config(file.config, body.speed, body.start_paused)
    return services.manager.start_session(wish, plan)


def _chairs(settings: Settings, strategies: Sequence[StrategySection]) -> dict[str, Chair]:
    """The places of strategies that play in lockstep."""
    rules = Rules(
        settings.lockstep_policy, settings.lockstep_patience_seconds,
        settings.lockstep_join_seconds,
    )  # fmt: skip
    return {one.id: Chair(one.id, rules) for one in strategies if one.lockstep}
