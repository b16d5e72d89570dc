"""What ``pip install`` of this project gives: the command, the client, types, and settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, unpacked as an installer does."""
    made = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(made)!r}))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    name = built.stdout.split()[-1]
    ZipFile(made / name).extractall(made / "site")
    return made / "site"


def test_it_holds_what_is_run_and_no_more(installed: Path) -> None:
    there = {path.relative_to(installed).parts[0] for path in installed.iterdir()}
    (information,) = (name for name in there if name.endswith(".dist-info"))
    assert there == {"app", "settings.py", information}
    assert (installed / "app" / "py.typed").is_file()
    entry = (installed / information / "entry_points.txt").read_text()
    assert "tapedeck = app.cli:main" in entry


@pytest.mark.parametrize(
    "code",
    [
        "from app.cli import main; import sys; sys.argv = ['tapedeck', '--version']; main()",
        "from app.client import Tapedeck; Tapedeck('http://127.0.0.1:1').close()",
        "import settings; settings.load_settings(None)",
    ],
)
def test_it_runs_from_there(installed: Path, tmp_path: Path, code: str) -> None:
    path = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    shown = f"{code}\nimport app; assert app.__file__.startswith({str(installed)!r})"
    if "main()" in code:
        shown = code
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=tmp_path, env=path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
