"""The map of the code: no module imports itself in a circle, and ARCHITECTURE.md shows every package and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("harness", "scenarios", "chaos", "reports", "target")
Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imported(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of every import: at the top, in a function, for type checking only. `name` "": the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module or "", alias.name) for alias in node.names)


def graph(sources: dict[str, str]) -> Graph:
    """Who imports whom. An import also runs every package above the module, unless the importer lies in it itself."""
    edges: Graph = {module: set() for module in sources}
    for module, source in sources.items():
        for base, name in imported(source):
            whole = f"{base}.{name}" if f"{base}.{name}" in sources else base
            parts = whole.split(".")
            above = (".".join(parts[:length]) for length in range(1, len(parts)))
            packages = {each for each in above if each in sources and not f"{module}.".startswith(f"{each}.")}
            edges[module] |= {each for each in {whole, *packages} if each in sources and each != module}
    return edges


def circles(edges: Graph) -> list[set[str]]:
    """The groups of nodes that reach each other."""
    reach = {node: reachable(edges, node) for node in edges}
    groups = {frozenset({other for other in reach[node] if node in reach[other]}) for node in edges}
    return sorted((set(group) for group in groups if group), key=min)


def reachable(edges: Graph, start: str) -> set[str]:
    """Every node that a path of at least one edge leads to."""
    found: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += edges[node]
    return found


def rooms() -> set[str]:
    """Every package with modules of its own that contains no other rooms but is not the top of a folder with rooms."""
    packages = {
        path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py"
    }
    names = {path.relative_to(ROOT).as_posix() for path in packages}
    return {name for name in names if not (name in FOLDERS and any(f"{name}/" in other for other in names))}


def pictured() -> set[str]:
    """The packages in the picture of ARCHITECTURE.md."""
    picture = re.search(r"^```mermaid\n(.*?)^```", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.M | re.S)
    assert picture is not None
    return set(re.findall(r'\["([\w/]+)"\]', picture[1])) - {"harness", "scenarios", "chaos", "reports", "target"}


def test_the_picture_shows_every_package_and_no_other() -> None:
    assert pictured() == rooms()


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circles(graph({module: path.read_text(encoding="utf-8") for module, path in modules().items()})) == []


@pytest.mark.parametrize(
    "back",
    [
        "import a.x",
        "from a import x",
        "from a.x import thing",
        "def late():\n    from a.x import thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.x import thing",
    ],
)
def test_a_circle_is_seen_however_it_is_closed(back: str) -> None:
    assert circles(graph({"a": "", "a.x": "from b.y import thing", "b": "", "b.y": back})) == [{"a.x", "b.y"}]


def test_a_package_that_imports_its_modules_can_close_a_circle() -> None:
    sources = {"a": "from a.x import thing", "a.x": "from b import thing", "a.z": "", "b": "from a.z import thing"}
    assert circles(graph(sources)) == [{"a", "a.x", "b"}]


def test_the_table_of_changes_names_files_and_what_is_in_them() -> None:
    """Each path is there, and each name in brackets behind a path occurs in that file."""
    table = (
        (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Where is what?")[2].partition("\n## ")[0]
    )
    paths = re.findall(r"`((?:harness|scenarios|chaos|reports|target)/[\w./*]*)`", table)
    assert len(paths) > 30
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []
    named = re.findall(r"`([\w/.]+\.py)` \(`(\w+)`", table) + [
        (path, name) for name, path in re.findall(r"`(\w+)` in `([\w/.]+\.py)`", table)
    ]
    assert len(named) >= 8
    assert [pair for pair in named if pair[1] not in (ROOT / pair[0]).read_text(encoding="utf-8")] == []
