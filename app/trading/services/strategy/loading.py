"""Strategy files: a class out of a .py file, checked, and where in it something is wrong."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from app.errors import RequestError, nearest
from app.trading.bus.errors import HandlerInterrupt
from app.trading.services.strategy.base import CALLBACKS, Strategy, overridden
from app.trading.services.strategy.params import ParamError, read_params

_NUMBERS = itertools.count(1)
# What a user's code may end with: exit() would take the whole process with it.
RAISED = (Exception, SystemExit, HandlerInterrupt)


class StrategyError(RequestError):
    """A strategy's file, parameters or code is wrong; the message names file and line.

    ``time_ns`` is the T at which its code failed; 0 where that was before any.
    """

    time_ns: int = 0


class _Source(SourceFileLoader):
    """Runs what was read: neither reads nor writes a cache beside the file."""

    def __init__(self, fullname: str, path: str, source: bytes) -> None:
        super().__init__(fullname, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self._source, self.path)
        return code


class StrategyFile:
    """A user's file, loaded as a module of a private name; see ``forget_modules``.

    ``shown`` is its name in messages, as the configuration has it. StrategyError where it cannot
    be read or run.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self.path, self.shown = path, shown
        self.lines: dict[str, int] = {}
        self.name = f"_tapedeck_strategy_{next(_NUMBERS)}"
        self._names = self._load()

    def _load(self) -> dict[str, Any]:
        """What the module holds."""
        file = str(self.path)
        try:
            source = self.path.read_bytes()
        except OSError as error:
            raise StrategyError(f"{self.shown}: cannot be read: {error.strerror}") from error
        loader = _Source(self.name, file, source)
        module = ModuleType(self.name)
        module.__file__, module.__loader__ = file, loader
        sys.modules[self.name] = module
        try:
            self.lines = _lines(ast.parse(source, file))
            loader.exec_module(module)
        except RAISED as error:
            forget_modules([self.name])
            raise self.error(_said(error, file), self.line_of(error)) from error
        return vars(module)

    def error(self, text: str, line: int | None) -> StrategyError:
        return StrategyError(f"{self.shown}, line {line or 1}: {text}")

    def line_of(self, error: BaseException) -> int | None:
        """The line of the innermost frame within this file."""
        file = str(self.path)
        if isinstance(error, SyntaxError) and error.filename == file:
            return error.lineno
        return next((line for line, _ in reversed(_frames(error, file))), None)

    def callback_of(self, error: BaseException) -> str | None:
        """The function of the outermost frame within this file."""
        return next((name for _, name in _frames(error, str(self.path))), None)

    # -- the class -----------------------------------------------------------------------------

    def find(self, name: str | None) -> type[Strategy]:
        """The class of this name, or the only one; StrategyError where it is not clear."""
        own = self._own()
        if name is not None:
            found = self._names.get(name)
            if isinstance(found, type) and issubclass(found, Strategy) and found is not Strategy:
                return found
            close = ", ".join(nearest(name, own)) or ", ".join(own) or "none"
            raise self.error(f"no strategy {name!r} in it; nearest: {close}", self.lines.get(name))
        if len(own) == 1:
            return next(iter(own.values()))
        if not own:
            raise self.error("no class in it derives from Strategy", None)
        listed = ", ".join(f"{n} (line {self.lines.get(n, 1)})" for n in own)
        line = self.lines.get(list(own)[1])
        raise self.error(f"several strategies: {listed}; say which one as 'name'", line)

    def _own(self) -> dict[str, type[Strategy]]:
        """The strategies that this file defines, in its order."""
        return {
            v.__name__: v
            for v in self._names.values()
            if isinstance(v, type) and issubclass(v, Strategy) and v.__module__ == self.name
        }

    def check(self, strategy: type[Strategy]) -> None:
        """What a class says of itself can be used."""
        at = self.lines.get(strategy.__name__)
        intervals: Any = strategy.intervals
        minutes = isinstance(intervals, tuple) and all(
            type(i) is int and 1 <= i <= 1440 for i in intervals
        )
        if not minutes or not intervals or len(set(intervals)) < len(intervals):
            line = self.lines.get(f"{strategy.__name__}.intervals", at)
            raise self.error(f"intervals is {intervals!r}; needed: minutes, as (1, 5, 15)", line)
        for name in dir(strategy):
            if name.startswith("on_") and name not in CALLBACKS:
                close = ", ".join(nearest(name, CALLBACKS)) or ", ".join(CALLBACKS)
                line = self.lines.get(f"{strategy.__name__}.{name}", at)
                raise self.error(f"{name} is no callback; nearest: {close}", line)
        for name in sorted(overridden(strategy)):
            self._check_callback(strategy, name)

    def _check_callback(self, strategy: type[Strategy], name: str) -> None:
        function: Any = getattr(strategy, name)
        line = self.lines.get(f"{strategy.__name__}.{name}", self.lines.get(strategy.__name__))
        expected = ", ".join(inspect.signature(getattr(Strategy, name)).parameters)
        is_plain = inspect.isfunction(function) and not (
            inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)
        )
        if not is_plain:
            raise self.error(f"{name} is async, a generator or no function", line)
        try:
            inspect.signature(function).bind(*range(1 + CALLBACKS[name]))
        except TypeError as error:
            raise self.error(f"{name} cannot be called as ({expected}): {error}", line) from error

    def make(self, strategy: type[Strategy], params: Mapping[str, Any]) -> Strategy:
        """An instance with these parameters set before its ``__init__`` runs."""
        at = self.lines.get(strategy.__name__)
        try:
            values = read_params(strategy, params)
        except ParamError as error:
            line = self.lines.get(f"{strategy.__name__}.{error.param}", at)
            raise self.error(str(error), line) from error
        try:
            made = strategy.__new__(strategy)
            vars(made).update(values)
            strategy.__init__(made)
        except RAISED as error:
            text = f"{strategy.__name__}(): {type(error).__name__}: {error}"
            raise self.error(text, self.line_of(error) or at) from error
        return made


def forget_modules(names: Iterable[str]) -> None:
    """Take the modules of strategy files back."""
    for name in names:
        sys.modules.pop(name, None)


def _said(error: BaseException, file: str) -> str:
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{type(error).__name__}: {error.msg}"
    return f"{type(error).__name__}: {error}"


def _frames(error: BaseException, file: str) -> list[tuple[int, str]]:
    """Line and function of each frame of a file that an error went through, outermost first."""
    found, at = [], error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == file:
            found.append((at.tb_lineno, at.tb_frame.f_code.co_name))
        at = at.tb_next
    return found


def _lines(tree: ast.Module) -> dict[str, int]:
    """Where classes and what stands in them begin: ``Name`` and ``Name.attribute``."""
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            lines[node.name] = node.lineno
            for part in node.body:
                for name in _names(part):
                    lines[f"{node.name}.{name}"] = part.lineno
    return lines


def _names(part: ast.stmt) -> list[str]:
    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
        return [part.name]
    targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
    return [t.id for t in targets if isinstance(t, ast.Name)]
