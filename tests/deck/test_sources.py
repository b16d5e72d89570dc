"""The deck's sources: typed by the server's own page, pinned, and nothing of others among them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from app.runs.report.terms import TERMS
from docs.generate import openapi
from tests.deck.conftest import DECK, ROOT, node


def run(*words: str, cwd: Path = DECK) -> subprocess.CompletedProcess[str]:
    path = node() + os.pathsep + os.environ.get("PATH", "")
    environment = os.environ | {"PATH": path}
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100
    )


def test_types_are_those_of_the_servers_page(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(openapi()), "utf-8")
    command = installed / "node_modules" / ".bin" / "openapi-typescript"
    made = tmp_path / "schema.d.ts"
    done = run(str(command), str(tmp_path / "openapi.json"), "--output", str(made))
    assert done.returncode == 0, done.stderr
    kept = (DECK / "src" / "api" / "schema.d.ts").read_text("utf-8")
    assert made.read_text("utf-8") == kept, "out of date: scripts/deck-types writes it"


def test_the_sources_are_of_the_types_they_say(installed: Path) -> None:
    done = run(str(installed / "node_modules" / ".bin" / "tsc"), "--noEmit")
    assert (done.returncode, done.stdout) == (0, "")


def test_numbers_of_runs_are_written_as_what_they_are() -> None:
    text = (DECK / "src" / "lib" / "statistics.ts").read_text("utf-8")
    for kind, name in (("share", "SHARES"), ("money", "MONEY")):
        (found,) = re.findall(rf"const {name} = new Set\(\[(.*?)\]\)", text, re.DOTALL)
        assert set(re.findall(r'"(\w+)"', found)) == {
            t.name for t in TERMS.values() if t.kind == kind
        }
    assert all(t.name.endswith("_s") == (t.kind == "seconds") for t in TERMS.values())


def test_the_lock_pins_all_and_names_no_address() -> None:
    lock = json.loads((DECK / "package-lock.json").read_text("utf-8"))
    for name, package in lock["packages"].items():
        if name:
            assert "resolved" not in package, f"{name}: omit-lockfile-registry-resolved in .npmrc"
            assert package["integrity"].startswith("sha512-"), name
    manifest = json.loads((DECK / "package.json").read_text("utf-8"))
    needed = {**manifest["dependencies"], **manifest["devDependencies"]}
    assert {f"node_modules/{name}" for name in needed} <= set(lock["packages"])
    assert len(manifest["dependencies"]) <= 3, "few dependencies"


def test_what_is_built_and_fetched_is_not_kept() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert {"node_modules/", "/app/api/built/"} <= set(ignored)


def test_the_page_names_no_other_machine(installed: Path) -> None:
    for path in (ROOT / "app" / "api" / "built").rglob("*"):
        if path.suffix in (".html", ".css"):
            assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", path.read_text())
