"""Every shell and Python block of the pages runs, in order, against a real server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.pages import BASE, PAGES, ROOT, Block, blocks, name_of

KINDS = {"sh", "python", "console", "json", "text", "yaml", ""}
RUN = [page for page in PAGES if any(b.kind in ("sh", "python") for b in blocks(page))]


@pytest.fixture
def fresh_server(served_url: str) -> Iterator[str]:
    """The server, without a live session before and after."""
    yield served_url
    httpx.post(served_url + "/api/v1/session/stop", timeout=60).raise_for_status()


def run_shell(block: Block, text: str, folder: Path, environment: dict[str, str]) -> None:
    script = "set -euo pipefail\n" + text
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, f"{block.place}\n{text}\n{done.stdout}\n{done.stderr}"


def run_python(block: Block, text: str, names: dict[str, Any]) -> None:
    lines = "\n" * (block.line - 1) + text  # an error then names the line of the page
    exec(compile(lines, str(block.page), "exec"), names)


def test_blocks_are_of_known_kinds() -> None:
    unknown = [b.place for page in PAGES for b in blocks(page) if b.kind not in KINDS]
    assert not unknown
    assert RUN


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_blocks_run(
    page: Path,
    fresh_server: str,
    synthetic: Path,
    configs: Path,
    plain_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tapedeck").mkdir()
    (tmp_path / ".tapedeck" / "synthetic").symlink_to(synthetic)  # where scripts/serve writes it
    (tmp_path / "configs").symlink_to(configs)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = plain_environment
    if page.name == "s3.md":
        environment = environment | request.getfixturevalue("s3")
    names: dict[str, Any] = {"__name__": "__page__"}
    ran = 0
    for block in blocks(page):
        text = block.text.replace(BASE, fresh_server)
        text = text.replace(BASE.replace("http", "ws"), fresh_server.replace("http", "ws"))
        if block.kind == "sh":
            run_shell(block, text, tmp_path, environment)
        elif block.kind == "python":
            run_python(block, text, names)
        else:
            continue
        ran += 1
    assert ran
