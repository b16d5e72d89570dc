"""Every setting of Tapedeck: read once from the environment and ``.env``, checked, frozen.

A field's name is its environment variable in lower case. Only ``app.api``,
``app.cli`` and ``app.managers.system_manager`` read settings; all else takes arguments.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import SettingsError, nearest

ENV_FILE = Path(".env")
PREFIXES = (
    "DATA_", "SESSION_", "MARKET_", "FEED_", "TICK_", "STREAM_", "LOCKSTEP_", "HTTP_MAX_",
    "TAPEDECK_", "LOG_",
)  # fmt: skip
_SECRET = {"tapedeck_api_key", "tapedeck_runs_database_url"}
_MISSPELT = 0.9  # an environment variable this like a setting was meant to be it


def _setting(default: Any, allowed: str, meaning: str, **limits: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed}, **limits)


class Settings(BaseSettings):
    """All settings; ``load_settings`` makes them with errors that people can read."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore",
        frozen=True, hide_input_in_errors=True,
    )  # fmt: skip

    data_manager_backtest_speed: float = _setting(
        60.0, "a number from 0 to 1000000",
        "Market seconds a wall second of a new session; 0 is as fast as the machine allows.",
        ge=0, le=1_000_000, allow_inf_nan=False,
    )  # fmt: skip
    data_catalog_uri: str | None = _setting(
        None, "a folder, or a URI such as s3://bucket/prefix",
        "Root of the catalog that is replayed.",
        repr=False,  # a URI may hold keys
    )  # fmt: skip
    data_upkeep_derived_intervals: Annotated[tuple[int, ...], NoDecode] = _setting(
        (5, 15), "different whole minutes from 2 to 1440, such as 5,15 or [5, 15]",
        "Intervals in minutes of the bars that are derived from 1m bars.",
    )  # fmt: skip
    session_hours: Literal["regular", "extended", "all"] = _setting(
        "regular", "regular, extended or all",
        "Which hours of a trading day are delivered.",
    )  # fmt: skip
    session_calendar: str = _setting(
        "XNYS", "an exchange's MIC such as XNYS, XLON or XHKG, or 24/7",
        "Exchange calendar of a new session.",
    )  # fmt: skip
    market_close_grace_seconds: int = _setting(
        60, "whole seconds from 0 to 3600",
        "How long after the close items are still delivered, as post-close.",
        ge=0, le=3600,
    )  # fmt: skip
    session_history_days: int = _setting(
        5, "whole days from 0 to 250",
        "Trading days before the start whose bars can be read from the first poll.",
        ge=0, le=250,
    )  # fmt: skip
    session_max_symbols: int = _setting(
        20_000, "a whole number from 1 to 100000",
        "Symbols of one session.",
        ge=1, le=100_000,
    )  # fmt: skip
    session_from_cache: bool = _setting(
        True, "true or false",
        "Whether a session plays from a prepared cache that fits it; verifying a run never does.",
    )  # fmt: skip
    feed_buffer_rows: int = _setting(
        1_000_000, "whole rows from 1024 to 1000000000",
        "Bound of what is read ahead of the clock, in rows.",
        ge=1024, le=1_000_000_000,
    )  # fmt: skip
    feed_read_rows: int = _setting(
        16_384, "whole rows from 1 to 1048576",
        "Rows of a batch that is read.",
        ge=1, le=1_048_576,
    )  # fmt: skip
    tick_keep_rows: int = _setting(
        1_000_000, "whole rows from 1 to 1000000000",
        "Trades, and quotes, of the current day that stay readable, in rows a symbol.",
        ge=1, le=1_000_000_000,
    )  # fmt: skip
    stream_lossless_patience_seconds: float = _setting(
        10.0, "seconds from 0 to 60",
        "How long in any minute a slow lossless client may hold the clock before it is cut off.",
        ge=0, le=60, allow_inf_nan=False,
    )  # fmt: skip
    stream_client_queue_bytes: int = _setting(
        8 * 2**20, "whole bytes from 65536 to 1073741824",
        "Frames that may wait for one stream client, in bytes.",
        ge=2**16, le=2**30,
    )  # fmt: skip
    stream_max_clients: int = _setting(
        200, "a whole number from 1 to 10000",
        "Stream clients at one time.",
        ge=1, le=10_000,
    )  # fmt: skip
    stream_resume_rows: int = _setting(
        200_000, "whole rows from 0 to 100000000",
        "Rows that are kept so that a client can resume after a reconnect.",
        ge=0, le=100_000_000,
    )  # fmt: skip
    lockstep_patience_seconds: float = _setting(
        10.0, "seconds from 0.01 to 86400",
        "How long a lockstep client may take for a turn, or to come back, before the policy acts.",
        ge=0.01, le=86_400, allow_inf_nan=False,
    )  # fmt: skip
    lockstep_policy: Literal["pause", "drop", "fail"] = _setting(
        "pause", "pause, drop or fail",
        "What becomes of a session whose lockstep client is late, where that does not say.",
    )  # fmt: skip
    lockstep_join_seconds: float = _setting(
        60.0, "seconds from 0.01 to 86400",
        "How long a session waits at its start for the clients that its strategies play in.",
        ge=0.01, le=86_400, allow_inf_nan=False,
    )  # fmt: skip
    stream_max_frame_bytes: int = _setting(
        2**16, "whole bytes from 1024 to 16777216",
        "Largest message that a stream client may send, in bytes.",
        ge=1024, le=2**24,
    )  # fmt: skip
    http_max_body_bytes: int = _setting(
        2**20, "whole bytes from 1024 to 1073741824",
        "Largest body of a request, in bytes.",
        ge=1024, le=2**30,
    )  # fmt: skip
    http_max_wait_seconds: float = _setting(
        60.0, "seconds from 0 to 3600",
        "Upper bound of wait_s in a long poll or a step.",
        ge=0, le=3600, allow_inf_nan=False,
    )  # fmt: skip
    http_max_connections: int = _setting(
        500, "a whole number from 1 to 10000",
        "HTTP connections at one time; stream clients are counted by themselves.",
        ge=1, le=10_000,
    )  # fmt: skip
    http_max_url_bytes: int = _setting(
        16_384, "whole bytes from 256 to 65536",
        "Longest URL of a request, in bytes.",
        ge=256, le=2**16,
    )  # fmt: skip
    http_max_header_bytes: int = _setting(
        32_768, "whole bytes from 1024 to 1048576",
        "Largest headers of a request together, in bytes.",
        ge=1024, le=2**20,
    )  # fmt: skip
    http_max_request_seconds: float = _setting(
        30.0, "seconds from 0.1 to 3600",
        "How long a request may take to come in, from its connection or first byte to its last.",
        ge=0.1, le=3600, allow_inf_nan=False,
    )  # fmt: skip
    http_max_send_seconds: float = _setting(
        60.0, "seconds from 0.1 to 3600",
        "How long a caller may leave an answer lying before its connection is dropped.",
        ge=0.1, le=3600, allow_inf_nan=False,
    )  # fmt: skip
    tapedeck_host: str = _setting(
        "127.0.0.1", "an address or name to listen on; TAPEDECK_API_KEY is needed beyond loopback",
        "Address that the server listens on.",
        min_length=1, pattern=r"^[^\s/]+$",
    )  # fmt: skip
    tapedeck_port: int = _setting(
        8000, "a whole number from 0 to 65535 (0: any free port)",
        "Port that the server listens on.",
        ge=0, le=65_535,
    )  # fmt: skip
    tapedeck_api_key: SecretStr | None = _setting(
        None, "printable ASCII without blanks",
        "Key that clients send as 'Authorization: Bearer ...'.",
    )  # fmt: skip
    tapedeck_cache_dir: Path = _setting(
        Path(".tapedeck"), "a folder that can be written",
        "Folder of the catalog's index and other things that can be made again.",
    )  # fmt: skip
    tapedeck_runs_dir: Path = _setting(
        Path("runs"), "a folder that can be written",
        "Folder of what runs leave behind, one folder each.",
    )  # fmt: skip
    tapedeck_runs_database_url: SecretStr | None = _setting(
        None, "an SQLAlchemy URL such as postgresql+psycopg://user:password@host/name",
        "Database of the index of runs; without one it is an SQLite file in the folder of runs.",
    )  # fmt: skip
    tapedeck_runs_at_once: int = _setting(
        1, "a whole number from 1 to 64",
        "Runs that a server works on at one time, each in a process of its own; the rest wait.",
        ge=1, le=64,
    )  # fmt: skip
    tapedeck_configs_dir: Path | None = _setting(
        None, "a folder of YAML files and the strategies that they name",
        "Configurations that a server may run; without it none can be started over HTTP.",
    )  # fmt: skip
    log_level: Literal["debug", "info", "warning", "error", "critical"] = _setting(
        "info", "debug, info, warning, error or critical",
        "Least level that is logged.",
    )  # fmt: skip
    log_format: Literal["people", "json"] = _setting(
        "people", "people or json",
        "How log lines look.",
    )  # fmt: skip

    @field_validator("data_upkeep_derived_intervals", mode="before")
    @classmethod
    def _read_intervals(cls, value: Any) -> Any:
        if isinstance(value, str):
            text = value.strip()
            value = json.loads(text) if text.startswith("[") else text.split(",")
        if not isinstance(value, list | tuple) or any(type(v) not in (int, str) for v in value):
            raise ValueError("not a list of whole minutes")
        minutes = [int(piece) for piece in value]
        if len(set(minutes)) < len(minutes) or any(not 2 <= m <= 1440 for m in minutes):
            raise ValueError("out of range, or twice the same")
        return tuple(sorted(minutes))

    @field_validator("session_hours", "lockstep_policy", "log_level", "log_format", mode="before")
    @classmethod
    def _fold_case(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("session_calendar")
    @classmethod
    def _check_calendar(cls, value: str) -> str:
        if value == "XNYS":
            return value  # the usual one, without half a second of imports
        from exchange_calendars import get_calendar_names

        known: list[str] = get_calendar_names()
        if value not in known:
            close = ", ".join(nearest(value, known))
            raise PydanticCustomError("calendar", "nearest: {close}", {"close": close or "none"})
        return value

    @field_validator("tapedeck_api_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        key = "" if value is None else value.get_secret_value()
        if not all(33 <= ord(character) <= 126 for character in key):
            raise ValueError("cannot stand in a header")
        return value if key else None

    @field_validator("tapedeck_runs_database_url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            make_url(value.get_secret_value()).get_dialect()
        except ArgumentError as error:
            raise ValueError("no URL that SQLAlchemy knows") from error
        return value

    @model_validator(mode="after")
    def _guard_host(self) -> Settings:
        if self.tapedeck_api_key is None and not is_loopback(self.tapedeck_host):
            raise PydanticCustomError(
                "open_host",
                "TAPEDECK_HOST is {host}, which others can reach: set TAPEDECK_API_KEY, "
                "or listen on 127.0.0.1",
                {"host": repr(self.tapedeck_host)},
            )
        return self


class SettingRow(NamedTuple):
    """One setting as people read it."""

    name: str
    default: str
    allowed: str
    meaning: str


def describe_settings() -> list[SettingRow]:
    """Every setting in order: its name, default (as in ``.env``), what is allowed, its meaning."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            text = ",".join(map(str, default))
        elif isinstance(default, float):
            text = f"{default:g}"
        else:
            text = "" if default is None else str(default)
        rows.append(SettingRow(name.upper(), text, _allowed(name), field.description or ""))
    return rows


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on ``host``."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """The settings of this start; ``overrides`` (by field name) stand above all else.

    Raises SettingsError with one line that names setting, value and what is allowed.
    """
    unknown = sorted(set(overrides) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0].upper()}{_hint(unknown[0].upper())}")
    in_file = _read_env_file(env_file)
    for name in in_file:
        if name.upper().startswith(PREFIXES) and name.lower() not in Settings.model_fields:
            raise SettingsError(f"{env_file}: unknown setting {name}{_hint(name)}")
    _refuse_misspelt(os.environ)
    build: Callable[..., Settings] = Settings
    try:
        return build(_env_file=env_file, **overrides)
    except ValidationError as error:
        given = _lower(in_file) | _lower(os.environ) | overrides
        lines = [_sentence(one, given) for one in error.errors(include_url=False)]
        raise SettingsError("; ".join(lines)) from None


def _lower(given: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in given.items() if value}


def _allowed(field: str) -> str:
    extra = Settings.model_fields[field].json_schema_extra
    return str(extra.get("allowed", "")) if isinstance(extra, dict) else ""


def _sentence(problem: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    if not problem["loc"]:
        return str(problem["msg"])
    field = str(problem["loc"][0])
    value = "not usable" if field in _SECRET else repr(given.get(field))
    detail = f" ({problem['msg']})" if problem["type"] == "calendar" else ""
    return f"{field.upper()} is {value}{detail}; allowed: {_allowed(field)}"


def _hint(name: str) -> str:
    close = nearest(name, (field.upper() for field in Settings.model_fields), 1)
    return f"; did you mean {close[0]}?" if close else "; .env.example lists all of them"


def _read_env_file(env_file: Path | None) -> dict[str, str]:
    if env_file is None or not env_file.is_file():
        return {}
    try:
        with env_file.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file} cannot be read: {error}") from error
    for binding in bindings:
        if binding.error:
            raise SettingsError(f"{env_file}: line {binding.original.line} is not NAME=value")
    return {b.key: b.value or "" for b in bindings if b.key is not None}


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    """A variable that is nearly a setting would be ignored without a word."""
    known = [field.upper() for field in Settings.model_fields]
    for name in sorted(environment):
        if name.upper().startswith(PREFIXES) and name.upper() not in known:
            close = get_close_matches(name.upper(), known, 1, _MISSPELT)
            if close:
                raise SettingsError(
                    f"environment: unknown setting {name}; did you mean {close[0]}?"
                )
