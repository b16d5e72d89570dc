"""What the pages name exists: files, commands and their options, settings, calls, symbols."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli import cli
from docs.generate import filled, openapi, tables
from settings import PREFIXES, Settings
from tests.docs.pages import PAGES, ROOT, code_words, name_of, prose, shell_lines

_OUR_PATH = re.compile(
    r"(?:app|scripts|docs|tests|benchmarks)/[\w./*-]+"
    r"|(?:[\w-]+\.(?:md|toml|lock|yaml|py)|Dockerfile|\.env\.example)"
)
MADE_BY_USERS = {
    "notebook.py", "actions.parquet", "daily.parquet", "run.yaml", "strategy.py",
    "app/api/built",  # by scripts/build-deck
}  # fmt: skip


def commands() -> dict[str, Any]:
    """``"import csv"`` to its command, groups as well."""
    found: dict[str, Any] = {}

    def add(prefix: str, command: Any) -> None:
        found[prefix] = command
        for name, below in getattr(command, "commands", {}).items():
            add(f"{prefix} {name}".strip(), below)

    add("", typer.main.get_command(cli))
    return found


COMMANDS = commands()


def split_command(line: str) -> list[str] | None:
    """The words after ``tapedeck``, up to a pipe or redirection; None for another command."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a line within a quoted text
        return None
    while words and re.fullmatch(r"\w+=.*", words[0]):
        del words[0]
    if not words or words[0].split("/")[-1] != "tapedeck":
        return None
    ends = [n for n, word in enumerate(words) if word in ("|", ">", "&&", ";", "||", "&")]
    return words[1 : ends[0] if ends else None]


def known_options(command: Any) -> set[str]:
    return {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}


def wrong_with(words: list[str]) -> str | None:
    """Why a ``tapedeck`` command line is none, by its command and its options."""
    path, rest = "", words
    while rest and not rest[0].startswith("-") and f"{path} {rest[0]}".strip() in COMMANDS:
        path, rest = f"{path} {rest[0]}".strip(), rest[1:]
    command = COMMANDS[path]
    if rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        return f"no command {rest[0]!r} in 'tapedeck {path}'"
    options = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    unknown = options - known_options(command)
    return f"'tapedeck {path}' has no {sorted(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    said = shell_lines(page) + [w for w in code_words(page) if w.startswith("tapedeck ")]
    wrong = [
        f"{line}: {why}"
        for line in said
        if (words := split_command(line)) is not None and (why := wrong_with(words))
    ]
    assert not wrong


def test_a_wrong_command_would_be_found() -> None:
    assert wrong_with(["serve", "--prot", "1"])
    assert wrong_with(["catalog", "lsit"])
    assert wrong_with(["import", "csv", "x.csv", "--to", "y"]) is None
    assert split_command("X=1 .venv/bin/tapedeck serve --port 1 | cat") == ["serve", "--port", "1"]


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    leaves = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]
    assert not [path for path in leaves if f"tapedeck {path}" not in text]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_exist(page: Path) -> None:
    words = {w for w in code_words(page) if _OUR_PATH.fullmatch(w)} - MADE_BY_USERS
    for line in shell_lines(page):
        words |= {w for w in line.split() if re.fullmatch(r"scripts/[\w-]+", w)}
    missing = [w for w in words if not ((ROOT / w).exists() or list(ROOT.glob(w)))]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", prose(page)) if "://" not in t]
    broken = [t for t in targets if not (page.parent / t.split("#")[0]).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_exist(page: Path) -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", page.read_text("utf-8")))
    ours = {n for n in named if n.startswith(PREFIXES) and n != "TAPEDECK_TEST_DATA"}
    assert ours <= {field.upper() for field in Settings.model_fields}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_exist(page: Path) -> None:
    named = {w for w in code_words(page) if re.fullmatch(r"app(\.[a-z_]+)+(\.[A-Z]\w+)?", w)}
    for word in named:
        module, _, name = word.rpartition(".") if word[-1] != "_" else (word, "", "")
        found = importlib.import_module(word if name.islower() else module)
        assert name.islower() or hasattr(found, name), word


def test_tables_are_those_of_the_code() -> None:
    for name, content in tables().items():
        text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
        assert text == filled(text, name, content), "run: python -m docs.generate"


def test_calls_exist() -> None:
    known = {
        (method.upper(), re.sub(r"{\w+}", "X", path))
        for path, calls in openapi()["paths"].items()
        for method in calls
    }
    known |= {(method, "/api/v1" + path) for method, path in known}
    for page in PAGES:
        for text in code_words(page):
            call = re.fullmatch(r"(GET|POST|PATCH|PUT|DELETE) (/[^ ?]*)(\?.*)?", text)
            if call is not None:
                path = re.sub(r"{\w+}", "X", call[2])
                assert {(call[1], path), (call[1], "/api/v1" + path)} & known, f"{page}: {text}"
