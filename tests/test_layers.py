"""Imports only go down, and importing does nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GROUND = (
    "app", "app.errors", "app.damage", "app.times", "app.model", "app.calendar", "app.day_table",
    "app.logs", "app.notebook", "app.progress",
)  # fmt: skip

# Which layer may import which; what those may import is allowed as well.
ARROWS: dict[str, tuple[str, ...]] = {
    "app.cli": ("app.live", "app.lockstep", "app.api"),
    "app.lockstep": ("app.client", "app.trading"),
    "app.live": ("app.client", "app.managers.system_manager"),
    "app.client": ("app.api.schemas",),
    "app.api": ("app.api.schemas", "app.managers.system_manager", "settings"),
    "app.managers.system_manager": ("app.managers.data_manager", "settings"),
    "app.managers.data_manager": ("app.managers.time_manager",),
    "app.managers.time_manager": ("app.managers",),
    "app.managers": ("app.runs", "app.feed"),  # what all managers share
    "app.runs": ("app.trading",),
    "app.trading": ("ground",),
    "app.feed": ("app.catalog",),
    "app.catalog": ("ground",),
    "app.api.schemas": ("ground",),
    "settings": ("ground",),
    "ground": (),
}


def layer_of(module: str) -> str:
    """The layer that a module belongs to: the longest name that it lies below."""
    if module in GROUND:
        return "ground"
    named = [n for n in ARROWS if module == n or module.startswith(n + ".")]
    return max(named, key=len, default="none")


def below(layer: str) -> set[str]:
    """All layers that ``layer`` may import, itself included."""
    return {layer}.union(*(below(lower) for lower in ARROWS[layer]))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("app", "settings")


def imported(path: Path) -> list[tuple[int, str]]:
    """Line and module of every import of our own in a file, wherever it stands."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; name the module"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            # A name may be a module of its own, which can lie in another layer.
            modules = [n for n in names if (ROOT / (n.replace(".", "/") + ".py")).is_file()]
            found += [(node.lineno, m) for m in (modules or [str(node.module)])]
    return [(line, module) for line, module in found if is_ours(module)]


SOURCES = sorted([*(ROOT / "app").rglob("*.py"), ROOT / "settings.py"])


def test_every_module_lies_in_a_layer() -> None:
    homeless = [module_name(p) for p in SOURCES if layer_of(module_name(p)) == "none"]
    assert not homeless, f"no layer is known of {homeless}; see ARCHITECTURE.md"


@pytest.mark.parametrize("layer", sorted(ARROWS))
def test_imports_only_go_down(layer: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in SOURCES
        if layer_of(module_name(path)) == layer
        for line, module in imported(path)
        if layer_of(module) not in below(layer)
    ]
    assert not wrong, f"{layer} may import {sorted(below(layer))}"


@pytest.mark.parametrize(
    ("upper", "lower"),
    [
        ("app.feed", "app.runs"),
        ("app.runs", "app.feed"),
        ("app.trading", "app.feed"),
        ("app.feed", "app.trading"),
        ("app.trading", "app.runs"),
        ("app.client", "app.managers"),
        ("app.api", "app.live"),
        ("app.managers.system_manager", "app.client"),
        ("app.managers.data_manager", "settings"),
        ("app.catalog", "app.feed"),
        ("app.managers.time_manager", "app.managers.data_manager"),
    ],
)
def test_arrows_that_must_not_be(upper: str, lower: str) -> None:
    assert lower not in below(upper)


def test_architecture_draws_every_layer() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    names = {*ARROWS, *(module.removeprefix("app.") for module in GROUND)}
    assert not [name for name in names if name not in text]


def test_importing_starts_no_thread() -> None:
    modules = [module_name(p) for p in SOURCES if p.stem != "__main__"]
    code = (
        "import importlib, sys, threading\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print([t.name for t in threading.enumerate()])"
    )
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("['MainThread']", "")
