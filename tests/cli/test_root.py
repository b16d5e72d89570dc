"""All commands together: help, examples, usage errors, quick start."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from app import __version__
from app.cli import cli
from tests.cli.conftest import Run
from tests.cli.served import COMMAND, ROOT, environment


def commands() -> dict[str, Any]:
    """Every command by its words, groups as well."""
    found: dict[str, Any] = {}

    def add(words: str, command: Any) -> None:
        found[words] = command
        for name, below in getattr(command, "commands", {}).items():
            add(f"{words} {name}".strip(), below)

    add("", typer.main.get_command(cli))
    return found


ALL = commands()
LEAVES = [words for words, command in ALL.items() if not hasattr(command, "commands")]


@pytest.mark.parametrize("command", ALL)
def test_every_help_has_an_example_of_itself(run: Run, command: str) -> None:
    shown = run(*command.split(), "--help")
    assert shown.exit_code == 0
    words = " ".join(shown.stdout.split())
    assert f"Example: tapedeck {command}".strip() in words


@pytest.mark.parametrize("command", LEAVES)
def test_every_example_parses(command: str) -> None:
    found = ALL[command]
    example = found.epilog.removeprefix("Example: tapedeck " + command)
    assert example != found.epilog
    assert found.make_context(command, shlex.split(example)).params


def test_what_prints_a_table_prints_json_too() -> None:
    without = {words for words in LEAVES if "--json" not in known_options(ALL[words])}
    lines = {"init", "serve", "lockstep", "runs rebuild", "runs delete"}
    assert without == lines


def known_options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


# -- completion --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"COMP_WORDS": "tapedeck session se", "COMP_CWORD": "2"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "tapedeck session se"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "tapedeck session se",
                  "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)  # fmt: skip
def test_shells_complete_commands(shell: str, asked: dict[str, str]) -> None:
    asked = os.environ | asked | {"_TAPEDECK_COMPLETE": f"complete_{shell}"}
    done = subprocess.run(
        [*COMMAND], env=asked,
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "seek" in done.stdout
    assert "pause" not in done.stdout


def test_ids_of_runs_are_completed(tmp_path: Path) -> None:
    for name in ("sma-20240102T150000Z-1a2b3c", "sma-20240103T150000Z-1a2b3c", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "manifest.json").touch()
    asked = {"COMP_WORDS": "tapedeck runs show sma", "COMP_CWORD": "3"}
    done = subprocess.run(
        [*COMMAND], env=environment(tmp_path) | asked | {"_TAPEDECK_COMPLETE": "complete_bash"},
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["sma-20240103T150000Z-1a2b3c", "sma-20240102T150000Z-1a2b3c"]


def test_bash_completes_with_what_is_shown_to_be_sourced(tmp_path: Path) -> None:
    command = tmp_path / "tapedeck"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m app.cli "$@"\n')
    command.chmod(0o755)
    script = (
        'eval "$(_TAPEDECK_COMPLETE=source_bash tapedeck)"\n'
        "COMP_WORDS=(tapedeck session run) COMP_CWORD=2\n"
        "_tapedeck_completion tapedeck\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("run-to\n", "")


def test_a_wrong_option_is_a_usage_error(run: Run) -> None:
    assert run("replay", "AIG", "--star", "2013-10-07").exit_code == 2
    assert run("replay").exit_code == 2
    assert run("song").exit_code == 2


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, app.cli\n"
        "heavy = {'pandas', 'pyarrow', 'exchange_calendars', 'fastapi', 'pydantic', 'httpx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_it_runs_as_a_module() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, "serve" in done.stdout, done.stderr) == (0, True, "")


def test_it_says_its_version(run: Run) -> None:
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"tapedeck {__version__}\n")
