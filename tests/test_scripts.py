"""The scripts, run for real on small copies of the project; nothing is fetched."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted(p for p in (ROOT / "scripts").iterdir() if not p.suffix), ROOT / ".ci" / "run"]
CLI = "import sys\n\ndef main():\n    print('tapedeck', *sys.argv[1:])\n"
Done = subprocess.CompletedProcess[str]


def run(*words: str | Path, folder: Path = Path("/"), **variables: str) -> Done:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    return subprocess.run(
        [str(w) for w in words], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip


def write_wheel(folder: Path, version: str = "1.0") -> tuple[str, str]:
    """A small package; its file's name and SHA-256."""
    path = folder / f"tiny-{version}-py3-none-any.whl"
    info = f"tiny-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def write_lock(project: Path, version: str = "1.0", digest: str | None = None) -> None:
    name, right = write_wheel(project, version)
    line = f"tiny @ {(project / name).as_uri()} --hash=sha256:{digest or right}\n"
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (project / lock).write_text(line, "utf-8")


def make_project(folder: Path) -> Path:
    """The scripts in a folder with a blank in its name, and a command to link."""
    project = folder / "my project"
    shutil.copytree(ROOT / "scripts", project / "scripts")
    shutil.copytree(ROOT / ".ci", project / ".ci")
    (project / "app").mkdir()
    (project / "app" / "__init__.py").touch()
    (project / "app" / "cli.py").write_text(CLI, "utf-8")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = make_project(tmp_path)
    write_lock(made)
    return made


def version_of_tiny(project: Path) -> str:
    done = run(project / ".venv/bin/python", "-c", "import tiny; print(tiny.VERSION)")
    return done.stdout.strip()


# -- the set-up -----------------------------------------------------------------------------


def test_set_up_then_quick_then_another_lock(project: Path, tmp_path: Path) -> None:
    first = run(project / "scripts/setup-env", "run", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "installing requirements.lock" in first.stderr
    assert run(project / ".venv/bin/tapedeck", "a b", "c").stdout == "tapedeck a b c\n"

    log = project / ".tapedeck/setup.log"
    log.unlink()
    again = run(project / "scripts/setup-env", "run", folder=tmp_path)
    assert (again.returncode, again.stderr, log.exists()) == (0, "", False)

    write_lock(project, "2.0")
    changed = run(project / "scripts/setup-env", "dev")
    assert changed.returncode == 0, changed.stderr
    assert version_of_tiny(project) == "2.0"
    assert run(project / "scripts/setup-env", "run").stderr == ""  # dev holds what run needs


def test_a_failed_set_up_says_why_and_is_done_again(project: Path) -> None:
    write_lock(project, digest="0" * 64)
    failed = run(project / "scripts/setup-env", "run")
    assert failed.returncode == 1
    assert "hash" in failed.stderr.lower()
    assert "installing requirements.lock failed" in failed.stderr
    write_lock(project)
    assert run(project / "scripts/setup-env", "run").returncode == 0
    assert version_of_tiny(project) == "1.0"

    (project / ".venv/bin/python").unlink()  # as an interrupted or damaged one
    assert run(project / "scripts/setup-env", "run").returncode == 0
    assert version_of_tiny(project) == "1.0"


def test_two_set_ups_at_once(project: Path) -> None:
    command = [str(project / "scripts/setup-env"), "run"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [(process.communicate(timeout=100)[1], process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0], ends
    assert sum("installing" in said for said, _ in ends) == 1
    assert version_of_tiny(project) == "1.0"


def fake_python(folder: Path, name: str, code: int) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {code}\n", "utf-8")
    path.chmod(0o755)
    return path


def test_a_python_without_venv_gives_the_one_line(project: Path, tmp_path: Path) -> None:
    python = fake_python(tmp_path, "python3.12", 3)
    done = run(project / "scripts/setup-env", "run", PYTHON=str(python))
    assert done.returncode == 1
    assert "apt-get install -y python3.12-venv" in done.stderr
    assert not (project / ".venv").exists()


def test_no_fitting_python(project: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname", "cat", "cmp", "mkdir", "rm", "basename", "env"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    fake_python(tools, "python3", 4)
    done = run(project / "scripts/setup-env", "run", PATH=str(tools))
    assert done.returncode == 1
    assert "apt-get install -y python3 python3-venv" in done.stderr


def test_an_unknown_kind_is_refused(project: Path) -> None:
    done = run(project / "scripts/setup-env", "prod")
    assert (done.returncode, "allowed: run, dev" in done.stderr) == (2, True)


# -- the checks -----------------------------------------------------------------------------


@pytest.fixture
def recorded(project: Path) -> Path:
    """A project that is set up already, whose tools only note how they were called."""
    tools = project / ".venv" / "bin"
    tools.mkdir(parents=True)
    for tool in ("python", "ruff", "mypy", "pip-audit"):
        path, name = tools / tool, tool.replace("-", "_")
        path.write_text(
            f'#!/bin/sh\necho "{tool} $*" >>"{project}/calls"\n{WHAT_AN_AUDIT_SAYS}'
            f"exit ${{FAIL_{name}:-0}}\n",
            "utf-8",
        )
        path.chmod(0o755)
    lock = "requirements-dev.lock"
    (project / ".venv" / f"installed-{lock}").write_text(
        f"{project}\n{(project / lock).read_text('utf-8')}", "utf-8"
    )
    return project


def calls(project: Path) -> list[str]:
    found = (project / "calls").read_text("utf-8").splitlines()
    (project / "calls").unlink()
    return found


CHECKS = ["ruff check .", "ruff format --check .", "mypy "]
# The report goes where --output says, in the word after it.
WHAT_AN_AUDIT_SAYS = """
if [ -n "${SAYS:-}" ]; then echo "$SAYS" >&2; fi
while [ -n "${REPORTS:-}" ] && [ $# -gt 1 ]; do
    if [ "$1" = --output ]; then echo "$REPORTS" >"$2"; fi
    shift
done
"""


def test_test_runs_all_checks_and_ci_runs_test(recorded: Path) -> None:
    for script in (".ci/run", "scripts/test"):
        assert run(recorded / script).returncode == 0
        *checks, audit, tests = calls(recorded)
        assert (checks, tests) == (CHECKS, "python -m pytest -n 3 --dist loadfile")
        assert audit.startswith("pip-audit --requirement requirements.lock --require-hashes ")


def test_audit_fails_for_what_it_found_and_for_nothing_else(recorded: Path) -> None:
    clean = run(recorded / "scripts/audit")
    assert (clean.returncode, "no known vulnerability" in clean.stderr) == (0, True)
    found = run(recorded / "scripts/audit", FAIL_pip_audit="1", REPORTS="tiny 1.0 CVE-1")
    assert (found.returncode, "tiny 1.0 CVE-1" in found.stdout) == (1, True)
    offline = run(recorded / "scripts/audit", FAIL_pip_audit="1", SAYS="no route to host")
    assert offline.returncode == 0
    assert "audit: skipped, the data cannot be had: no route to host" in offline.stderr


def test_test_passes_its_arguments_on(recorded: Path) -> None:
    assert run(recorded / "scripts/test", "--fast", "-k", "some thing").returncode == 0
    assert calls(recorded) == ["python -m pytest -k some thing"]


def test_a_failed_check_fails_the_whole(recorded: Path) -> None:
    done = run(recorded / "scripts/test", FAIL_mypy="1")
    assert done.returncode == 1
    assert "failed: 'mypy'" in done.stderr
    assert calls(recorded) == CHECKS  # the others ran, the tests did not
    assert run(recorded / ".ci/run", FAIL_python="1").returncode == 1


def test_lint_mends_and_refuses_what_it_does_not_know(recorded: Path) -> None:
    assert run(recorded / "scripts/lint", "--fix").returncode == 0
    assert calls(recorded) == ["ruff check --fix .", "ruff format .", *CHECKS]
    assert run(recorded / "scripts/lint", "--all").returncode == 2


# -- serve ----------------------------------------------------------------------------------


class Served:
    """``scripts/serve.py`` in a project of its own, until the ``with`` ends."""

    def __init__(self, project: Path, folder: Path, *options: str, **variables: str) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(project), **variables}
        command = [sys.executable, str(project / "scripts/serve.py"), "--port", "0", *options]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.said = ""

    def __enter__(self) -> Served:
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.said = self.process.communicate(timeout=20)[1]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    project = tmp_path / "project"
    (project / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/serve.py", project / "scripts")
    for name in ("app", "examples", "settings.py"):
        (project / name).symlink_to(ROOT / name)
    yield project
    assert not (tmp_path / ".tapedeck").exists()  # all lies in the project


def configs_of(one: Served) -> list[str]:
    answer = httpx.get(one.first_line.split()[-1] + "/configs", timeout=20)
    found: list[str] = answer.raise_for_status().json()["configs"]
    return found


def test_serve_writes_a_synthetic_catalog_once(served: Path, tmp_path: Path) -> None:
    with Served(served, tmp_path) as first:
        assert re.match(r"Tapedeck serves http://127\.0\.0\.1:\d+", first.first_line)
        assert "first_run.yaml" in configs_of(first)
    assert first.process.returncode == 0
    assert "SYNTHETIC" in first.said
    bars = list((served / ".tapedeck/synthetic/bars_1m").rglob("*.parquet"))
    assert len(bars) == 80
    before = {path: path.stat().st_mtime_ns for path in bars}
    with Served(served, tmp_path) as second:
        pass
    assert "SYNTHETIC" in second.said
    assert {path: path.stat().st_mtime_ns for path in bars} == before


def test_serve_takes_the_catalog_that_is_configured(served: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "mine"
    catalog.mkdir()
    (served / ".env").write_text(f"DATA_CATALOG_URI={catalog}\n", "utf-8")
    for options, variables in (
        ((), {}),
        (("--catalog", "mine"), {}),  # relative: from where it was typed
        (("--catalog=mine",), {}),
        ((), {"DATA_CATALOG_URI": "mine"}),
    ):
        with Served(served, tmp_path, *options, **variables) as one:
            assert one.first_line.startswith("Tapedeck serves")
        assert (one.process.returncode, "SYNTHETIC" in one.said) == (0, False), one.said
    assert not (served / ".tapedeck/synthetic").exists()


def test_serve_takes_the_configurations_that_are_named(served: Path, tmp_path: Path) -> None:
    (served / "mine").mkdir()
    (served / "mine" / "own.yaml").touch()
    catalog = tmp_path / "empty"
    catalog.mkdir()
    with Served(served, tmp_path, "--catalog", "empty", TAPEDECK_CONFIGS_DIR="mine") as one:
        assert configs_of(one) == ["own.yaml"]


def test_serve_says_what_is_wrong_with_a_setting(served: Path, tmp_path: Path) -> None:
    with Served(served, tmp_path, LOG_LEVEL="loud") as one:
        assert one.first_line == ""
    assert one.process.returncode == 2
    assert one.said.count("\n") == 1
    assert "LOG_LEVEL" in one.said


# -- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_strict_bash(script: Path) -> None:
    text = script.read_text("utf-8")
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert run("bash", "-n", script).returncode == 0


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not on this machine")
    done = run(shellcheck, *SCRIPTS)
    assert (done.returncode, done.stdout) == (0, "")


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9][\w.\-\[\],]*==\S+(?: ;[^\\\n]*)?)()", text, re.MULTILINE))


def test_the_dev_lock_holds_the_run_lock() -> None:
    assert pins("requirements.lock")
    missing = set(pins("requirements.lock")) - set(pins("requirements-dev.lock"))
    assert not missing


@pytest.mark.parametrize("lock", [path.name for path in ROOT.glob("requirements*.lock")])
def test_locks_have_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert "://" not in text
    assert "index-url" not in text
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    pinned = [entry for entry in entries if "==" in entry.split("\n")[0]]
    assert pinned
    assert all("--hash=sha256:" in entry for entry in pinned)
