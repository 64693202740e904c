"""Adapters and journeys by "FILE:CLASS"."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.swarm.users.loader import load_class


def test_a_class_of_our_own_tree_exists_once() -> None:
    from harness.platform import Person

    assert load_class("harness/platform.py:Person") is Person


def test_a_class_of_the_users_own_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "my_words.py").write_text("GREETING = 'hello'\n")
    (tmp_path / "my_platform.py").write_text("from my_words import GREETING\nclass Mine:\n    said = GREETING\n")
    assert load_class(f"{tmp_path / 'my_platform.py'}:Mine").said == "hello"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("nonsense", "is not FILE:CLASS"),
        ("nowhere.py:Mine", "no file nowhere.py"),
        ("harness/platform.py:Nobody", "no class Nobody"),
        ("harness/platform.py:T", "no class T"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(reference: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_class(reference)


def test_a_file_that_breaks_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken_platform.py").write_text("import no_such_module_anywhere\n")
    with pytest.raises(InputError, match=r"broken_platform\.py cannot be loaded"):
        load_class(f"{tmp_path / 'broken_platform.py'}:Mine")
