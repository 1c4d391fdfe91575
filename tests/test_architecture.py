"""The architecture as a test: imports point down, packages that are strangers stay so, public names are complete."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RANK = {"oracles": 0, "bbsmooth": 1, "experiments": 2}
SOURCES = [path for top in RANK for path in sorted((ROOT / top).rglob("*.py"))]
STRANGERS = {
    "bbsmooth/certification": ("bbsmooth.tuning", "bbsmooth.coordinator", "bbsmooth.data", "bbsmooth.commands"),
    "bbsmooth/tuning": ("bbsmooth.certification", "bbsmooth.data", "bbsmooth.commands"),
    "bbsmooth/coordinator": ("bbsmooth.certification", "bbsmooth.tuning", "bbsmooth.data", "bbsmooth.commands"),
    "bbsmooth/data": (
        "bbsmooth.certification",
        "bbsmooth.tuning",
        "bbsmooth.coordinator",
        "bbsmooth.commands",
        "oracles",
    ),
    "bbsmooth/whitebox": ("bbsmooth.certification", "bbsmooth.tuning", "bbsmooth.commands"),
    "bbsmooth/attacking": ("bbsmooth.tuning", "bbsmooth.coordinator", "bbsmooth.data", "bbsmooth.commands"),
    "bbsmooth/reporting": ("bbsmooth.tuning", "bbsmooth.commands"),
    "bbsmooth/verification": ("bbsmooth.tuning", "bbsmooth.commands"),
    "bbsmooth/serving": ("bbsmooth.coordinator", "bbsmooth.tuning", "bbsmooth.data", "bbsmooth.commands"),
    "bbsmooth/engines": ("bbsmooth.tuning", "bbsmooth.data", "bbsmooth.commands", "bbsmooth.assemble"),
    "bbsmooth/commands": ("bbsmooth.cli",),
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, *, top_level: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_down(path: Path) -> None:
    own = RANK[path.relative_to(ROOT).parts[0]]
    upward = [name for name in imported_modules(path) if RANK.get(name.split(".")[0], -1) > own]
    assert upward == []


@pytest.mark.parametrize("folder", STRANGERS)
def test_strangers_do_not_know_each_other(folder: str) -> None:
    known = {name for path in (ROOT / folder).rglob("*.py") for name in imported_modules(path)}
    assert [name for name in known for stranger in STRANGERS[folder] if (name + ".").startswith(stranger + ".")] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {module_name(path) for path in SOURCES}
    graph = {module_name(path): imported_modules(path, top_level=True) & names for path in SOURCES}

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start] - {start})
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph[name]
        return seen

    assert [name for name in names if name in reachable(name)] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=module_name)
def test_public_names_are_there(path: Path) -> None:
    module = importlib.import_module(module_name(path))
    assert [name for name in getattr(module, "__all__", []) if not hasattr(module, name)] == []


def test_few_modules_import_timm() -> None:
    users = [path for path in SOURCES if any(name.split(".")[0] == "timm" for name in imported_modules(path))]
    whitebox = {f"bbsmooth.whitebox.{name}" for name in ("adapters", "distributed", "prompts")}
    allowed = {"oracles.timm_models"} | whitebox
    assert {module_name(path) for path in users} <= allowed | {"experiments.local_vit.train"}


def test_one_module_imports_ray_and_only_when_it_is_asked_for() -> None:
    users = [path for path in SOURCES if any(name.split(".")[0] == "ray" for name in imported_modules(path))]
    assert list(map(module_name, users)) == ["bbsmooth.engines.ray_cluster"]
    assert not any(name.split(".")[0] == "ray" for name in imported_modules(users[0], top_level=True))
