"""The architecture as a test: imports point down, packages that are strangers stay so, public names are complete."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    ("oracles",),
    ("errors", "memory", "randomness"),
    ("data", "noise", "progress"),
    ("certification", "coordinator"),
    ("tuning",),
    ("settings",),
    ("runs",),
    ("whitebox", "engines"),
    ("assemble",),
    ("reporting", "attacks", "serving"),
    ("verification",),
    ("api",),
    ("commands",),
    ("cli",),
    ("__main__",),
    ("experiments",),
)
"""From the ground up: a room knows those below it, and neither those above nor those beside it."""
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
STUBS = [path for top in ("oracles", "bbsmooth") for path in sorted((ROOT / top).rglob("*.pyi"))]
SOURCES = [path for top in ("oracles", "bbsmooth", "experiments") for path in sorted((ROOT / top).rglob("*.py"))]


def room_of(module: str) -> str | None:
    """The room in which a module lives; None for what is not ours, and for the public names of `bbsmooth` itself."""
    top, *rest = module.split(".")
    if top in ("oracles", "experiments"):
        return top
    return rest[0] if top == "bbsmooth" and rest and rest[0] in RANK else None


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def homes() -> dict[str, str]:
    """Where the names live that packages import on their first use, as their stubs say."""
    return {
        f"{package}.{alias.name}": f"{package}.{node.module}"
        for stub in STUBS
        for package in [module_name(stub)]
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


HOMES = homes()


def imported_modules(path: Path, *, top_level: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {node.module} | names | {HOMES[name] for name in names & HOMES.keys()}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_down(path: Path) -> None:
    own = room_of(module_name(path))
    if own is None:
        pytest.skip("the public names, which come from the rooms")
    known = {name: room_of(name) for name in imported_modules(path)}
    assert [name for name, room in known.items() if room not in (None, own) and RANK[room] >= RANK[own]] == []


def test_every_room_has_its_rank() -> None:
    rooms = {path.relative_to(ROOT / "bbsmooth").with_suffix("").parts[0] for path in (ROOT / "bbsmooth").rglob("*.py")}
    assert rooms - {"__init__"} == RANK.keys() - {"oracles", "experiments"}


def test_contributing_names_every_room_from_the_ground_up() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = [set(re.findall(r"`(?:bbsmooth/)?(\w+)(?:/|\.py)`", row)) for row in rows]
    assert named == [set(rooms) for rooms in ROOMS if rooms != ("__main__",)]


def run_by_import(path: Path) -> set[str]:
    """What a module imports, and the packages on the way there, whose `__init__` runs too, but for those it is in."""
    imported = imported_modules(path, top_level=True)
    on_the_way = {name[:place] for name in imported for place, letter in enumerate(name) if letter == "."}
    return imported | {name for name in on_the_way if not f"{module_name(path)}.".startswith(f"{name}.")}


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {module_name(path) for path in SOURCES}
    graph = {module_name(path): run_by_import(path) & names for path in SOURCES}

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


def test_nothing_above_the_seam_asks_for_the_class_of_an_oracle() -> None:
    """What an oracle can do besides answering is a protocol in `oracles.capabilities`."""
    below = [path for room in ("oracles", "bbsmooth/engines") for path in (ROOT / room).rglob("*.py")]
    classes = set(re.findall(r"^class (\w+Oracle)\b", "\n".join(path.read_text() for path in below), re.MULTILINE))
    asked = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in sorted((ROOT / "bbsmooth").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("isinstance", "issubclass")
        if any(isinstance(name, ast.Name) and name.id in classes for name in ast.walk(call.args[1]))
    ]
    assert asked == []


def test_few_modules_import_timm() -> None:
    users = [path for path in SOURCES if any(name.split(".")[0] == "timm" for name in imported_modules(path))]
    whitebox = {f"bbsmooth.whitebox.{name}" for name in ("adapters", "distributed", "low_rank", "prompts")}
    allowed = {"oracles.timm_models"} | whitebox
    assert {module_name(path) for path in users} <= allowed | {"experiments.local_vit.train"}


def test_one_module_imports_ray_and_only_when_it_is_asked_for() -> None:
    users = [path for path in SOURCES if any(name.split(".")[0] == "ray" for name in imported_modules(path))]
    assert list(map(module_name, users)) == ["bbsmooth.engines.ray_cluster"]
    assert not any(name.split(".")[0] == "ray" for name in imported_modules(users[0], top_level=True))
