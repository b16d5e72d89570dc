"""The reference pages of the command line and of Python, from the code itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import typer

import app.client as client
import app.trading.strategy as strategy
from app.api.local import LocalServer
from app.cli import cli
from app.client import Tapedeck
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from app.trading.strategy import Context, Param, Strategy

_WORDS = re.compile(r"(?:app(?:\.\w+)+|answers|calls|messages|t|typing|collections\.abc)\.(?=\w)")


# -- the command line --------------------------------------------------------------------------


def commands() -> str:
    """Every command: what it does, its example, arguments and options."""
    parts = []
    for name, command in _commands("tapedeck", typer.main.get_command(cli)):
        if hasattr(command, "commands"):
            continue
        about = " ".join((command.help or "").split())
        parts.append(
            f"## {name}\n\n{about}\n\n```text\n{command.epilog.removeprefix('Example: ')}\n```\n\n"
            + "\n".join(_parameters(command))
        )
    return "\n\n".join(parts)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, each in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {below}", each)


def _parameters(command: Any) -> Iterator[str]:
    yield "| option | meaning |\n| --- | --- |"
    for each in command.params:
        is_option = each.param_type_name == "option"
        names = (
            [*each.opts, *each.secondary_opts] if is_option else [each.metavar or each.name.upper()]
        )
        shown = ", ".join(f"`{name.strip()}`" for name in names)
        about = (each.help or "").replace("|", "\\|")
        given = each.default if isinstance(each.default, str | int | float) else None
        known = "" if given in (None, False, "") or "Default" in about else f" Default: `{given}`."
        yield f"| {shown} | {about}{known} |"


# -- Python ------------------------------------------------------------------------------------


def python() -> str:
    """The client, a run in this process, and what a strategy is made of."""
    answers = [getattr(client, n) for n in client.__all__ if n not in ("Tapedeck", "AsyncTapedeck")]
    terms = [getattr(strategy, n) for n in strategy.__all__
             if n not in ("Strategy", "Context", "Param")]  # fmt: skip
    return "\n\n".join(
        [
            "## The client\n\n`from app.client import Tapedeck`; `AsyncTapedeck` has the same "
            "calls, to be awaited.",
            *_class(Tapedeck),
            "### What it answers\n\n" + _list(answers),
            "## A server in this process\n\n`from app.api.local import LocalServer`",
            *_class(LocalServer, ("over", "stop")),
            "## A run in this process\n\n"
            "`from app.managers.system_manager.backtest import BacktestEngine`",
            *_class(BacktestEngine),
            *_class(BacktestResult, ("report", "table")),
            "## A strategy\n\n`from app.trading.strategy import Context, Param, Strategy`",
            *_class(Strategy),
            *_class(Context),
            *_class(Param),
            "### What it gets\n\n" + _list(terms),
        ]
    )


def _class(kind: type, only: Iterable[str] | None = None) -> Iterator[str]:
    """Its doc, then its public methods and properties, each with its signature."""
    yield f"### {kind.__name__}\n\n{_doc(kind)}"
    names = [n for n in _public(kind) if only is None or n in only]
    for name in names:
        found = inspect.getattr_static(kind, name)
        if isinstance(found, property):
            yield f"**`{name}`** {_doc(found)}"
        elif callable(method := getattr(kind, name, None)):
            yield f"```text\n{name}{_signature(method)}\n```\n\n{_doc(method)}"


def _public(kind: type) -> list[str]:
    """In the order of their definition, those of bases last; without a doc they are left out."""
    names = dict.fromkeys(name for base in kind.__mro__[:-1] for name in vars(base))
    documented = (n for n in names if not n.startswith("_") and _doc(getattr(kind, n, None)))
    return [n for n in documented if not isinstance(getattr(kind, n), int | str | tuple)]


def _signature(method: Callable[..., Any]) -> str:
    """As one would write the call; what is returned in place of how it is sent."""
    text = str(inspect.signature(method)).replace("'", "")
    text = re.sub(r"-> Call\[(.*)\]$", r"-> \1", _WORDS.sub("", text))
    text = text.replace("-> Subscription", "-> Stream")
    text = re.sub(r"^\((self|cls)(, /)?(, )?", "(", text)
    if len(text) <= 88:
        return text
    inside, _, result = text[1:].rpartition(")")
    arguments = re.split(r", (?![^\[{(]*[\]})])", inside)
    return "(\n    " + ",\n    ".join(arguments) + f",\n){result}"


def _list(kinds: Iterable[Any]) -> str:
    rows = [f"| `{_name(kind)}` | {' '.join(_doc(kind).split())} |" for kind in kinds]
    return "\n".join(["| name | what it is |", "| --- | --- |", *rows])


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def _doc(thing: Any) -> str:
    """Its docstring as Markdown; what a class has of ``object`` is none."""
    found = inspect.getdoc(thing) or ""
    text = found.replace("``", "`")
    return re.sub(r"(?m)^    (?=\S)", "    ", text)
