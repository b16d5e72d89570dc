"""All commands together: help, examples, usage errors, quick start."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer

from app import __version__
from app.cli import cli
from tests.cli.conftest import Run
from tests.cli.served import COMMAND, ROOT

COMMANDS = (
    "serve", "replay", "backtest", "watch", "doctor", "import lean", "import csv", "import parquet",
    "catalog list", "catalog build",
)  # fmt: skip


@pytest.mark.parametrize("command", ["", "import", "catalog", *COMMANDS])
def test_every_help_has_an_example_of_itself(run: Run, command: str) -> None:
    shown = run(*command.split(), "--help")
    assert shown.exit_code == 0
    words = " ".join(shown.stdout.split())
    assert f"Example: tapedeck {command}".strip() in words


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_parses(command: str) -> None:
    found: Any = typer.main.get_command(cli)
    for name in command.split():
        found = found.commands[name]
    example = found.epilog.removeprefix("Example: tapedeck " + command)
    assert example != found.epilog
    assert found.make_context(command, shlex.split(example)).params


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
