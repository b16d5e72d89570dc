"""A configuration from its file: found, read, overridden, checked, all problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from os import PathLike
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from pydantic import ValidationError

from app.calendar import Hours, TradingCalendar
from app.errors import ConfigError, RangeError, RequestError, nearest
from app.trading.config.document import refusal
from app.trading.config.overrides import apply_overrides
from app.trading.config.problems import add_field_problems
from app.trading.config.scalars import kind_of
from app.trading.config.yaml_text import read_yaml
from app.trading.section_checks import Draft, Finding, cross_findings, dates_of
from app.trading.sections import BacktestConfig

MAX_BYTES = 2**20
_NO_NAME = (OSError, ValueError, RuntimeError)  # too long, with a NUL, links in a circle
_ANY_DATE = date(2020, 1, 2)  # to look at a calendar without a range


class ConfigFile(NamedTuple):
    """A configuration, and the folder that its strategy files are relative to."""

    path: FilePath
    config: BacktestConfig

    @property
    def folder(self) -> FilePath:
        return self.path.parent


def load_backtest_config(
    path: str | PathLike[str], overrides: Sequence[str] = (), within: FilePath | None = None
) -> BacktestConfig:
    """The configuration in a file; see ``read_config_file``."""
    return read_config_file(path, overrides, within).config


def read_config_file(
    path: str | PathLike[str], overrides: Sequence[str] = (), within: FilePath | None = None
) -> ConfigFile:
    """Read and check a file, its strategy files there too.

    ``overrides`` are ``key.path=value``. With ``within``, ``path`` is relative to that folder, and
    neither it nor a strategy file may lie outside. ConfigError with every problem, each with its
    file and line, both as the caller knows them.
    """
    name = str(path)
    found = _find(FilePath(path), name, within)
    config = _build(_read(found, name), name, overrides, found.parent, within)
    return ConfigFile(found, config)


def parse_backtest_config(
    text: str, name: str = "configuration", overrides: Sequence[str] = ()
) -> BacktestConfig:
    """The configuration in a text; its strategy files are not looked for."""
    return _build(text, name, overrides, None, None)


def _find(path: FilePath, name: str, within: FilePath | None) -> FilePath:
    found = path.absolute()
    try:
        if within is not None:
            root = within.resolve()
            found = (root / path).resolve()
            if not found.is_relative_to(root):
                raise ConfigError([f"{name}: lies outside of the folder of configurations"])
        if found.is_file():
            return found
        is_folder, is_there = found.is_dir(), found.exists()
    except _NO_NAME as error:
        raise ConfigError([f"{name!r} cannot be the name of a file"]) from error
    if is_folder:
        raise ConfigError([f"{name}: is a folder; name a YAML file in it"])
    if is_there:
        raise ConfigError([f"{name}: is no plain file; name a YAML file"])
    raise ConfigError([f"{name}: no such file{_like(found, '.yaml', '.yml')}"])


def _like(path: FilePath, *endings: str) -> str:
    """The names in a folder that were perhaps meant."""
    if not path.parent.is_dir():
        return ""
    names = [one.name for one in path.parent.iterdir() if one.suffix in endings and one.is_file()]
    close = ", ".join(nearest(path.name, names))
    return f"; nearest: {close}" if close else ""


def _read(path: FilePath, name: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror}"]) from error
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{name}: {len(content):,} bytes; allowed: up to {MAX_BYTES:,}"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{name}:{line}: not UTF-8: {error.reason}"]) from error


def _build(
    text: str, name: str, overrides: Sequence[str], folder: FilePath | None, within: FilePath | None
) -> BacktestConfig:
    document = read_yaml(text, name)
    if not isinstance(document.data, dict):
        came = "the file is empty" if document.data is None else f"came {kind_of(document.data)}"
        document.complain((), f"{came}; needed: a mapping with backtest, data and strategies")
        raise refusal(document.problems)
    apply_overrides(document, overrides)
    config, errors = _validate(document.data)
    draft = Draft(document.data, add_field_problems(document, errors))
    for path, said in _findings(draft, folder, within):
        document.complain(path, said)
    if config is None or document.problems:
        raise refusal(document.problems)
    return config


def _validate(data: Any) -> tuple[BacktestConfig | None, list[Any]]:
    try:
        return BacktestConfig.model_validate(data), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [one for one in found if one["type"] != "cross"]  # found again, with places


def _findings(draft: Draft, folder: FilePath | None, within: FilePath | None) -> Iterator[Finding]:
    yield from cross_findings(draft)
    yield from _calendar(draft)
    if folder is not None:
        for number in range(draft.count("strategies")):
            yield from _strategy_file(draft, number, folder, within)


def _calendar(draft: Draft) -> Iterator[Finding]:
    """The calendar exists, and has days in the range."""
    name = draft.get("backtest", "calendar", default="XNYS")
    if name is None:
        return
    dates = dates_of(draft)
    if dates is not None and dates[1] < dates[0]:
        dates = None  # which is told of by itself
    start, end = dates or (_ANY_DATE, _ANY_DATE)
    try:
        calendar = TradingCalendar(name, Hours.REGULAR, 0, start, end)
        if dates is not None:
            calendar.range(start, end)
    except RangeError as error:
        yield ("backtest", "start"), str(error)
    except RequestError as error:
        yield ("backtest", "calendar"), str(error)
    else:
        if draft.get("backtest", "hours") == Hours.EXTENDED:
            yield from _extended(name, start, end)


def _extended(name: str, start: date, end: date) -> Iterator[Finding]:
    try:
        TradingCalendar(name, Hours.EXTENDED, 0, start, end)
    except RequestError as error:
        yield ("backtest", "hours"), str(error)


def _strategy_file(
    draft: Draft, number: int, folder: FilePath, within: FilePath | None
) -> Iterator[Finding]:
    path = ("strategies", number, "file")
    file = draft.get(*path)
    if file is None:
        return
    found = folder / file
    try:
        outside = within is not None and not found.resolve().is_relative_to(within.resolve())
        is_file = found.is_file()
    except _NO_NAME:
        yield path, f"{file!r} cannot be the name of a file"
        return
    if outside:
        yield path, f"{file!r} lies outside of the folder of configurations"
    elif found.suffix != ".py":
        yield path, f"came {file!r}; allowed: a .py file"
    elif not is_file:
        yield path, f"no file {file!r} beside the configuration{_like(found, '.py')}"
