"""The glossary and the code agree: each class that docs/glossary.md lists exists once, in the file that it names."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("harness", "scenarios", "chaos", "reports", "target")
ROW = re.compile(r"^\| `(\w+)` \| `([\w/]+\.py)` \|", re.M)


def listed() -> list[tuple[str, str]]:
    """(class, file) of every row of the table of classes."""
    return ROW.findall((ROOT / "docs/glossary.md").read_text(encoding="utf-8"))


def defined() -> dict[str, list[str]]:
    """Class → the files that define one of that name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


def test_each_listed_class_exists_once_in_its_file() -> None:
    classes = defined()
    rows = listed()
    assert len(rows) >= 30
    assert {name: classes[name] for name, _ in rows} == {name: [file] for name, file in rows}


def test_the_table_of_classes_is_sorted_and_names_each_once() -> None:
    names = [name for name, _ in listed()]
    assert names == sorted(set(names))
