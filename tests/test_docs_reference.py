"""The adapter reference is what the types say today, and says something of everything."""

from __future__ import annotations

import re

from harness.adapter import kit
from tests.docs_reference import PAGE, SECTIONS, fields, render


def test_the_page_is_made_from_the_types() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m tests.docs_reference"


def test_every_field_of_the_section_has_a_meaning() -> None:
    assert [(place, one.name) for section, place in SECTIONS for one in fields(section) if not one.meaning] == []


def test_every_field_that_msgspec_reads_is_in_it() -> None:
    for section, _ in SECTIONS:
        assert [one.name for one in fields(section)] == list(section.__struct_fields__)


def test_every_exported_name_is_told_of_with_a_docstring() -> None:
    page = PAGE.read_text(encoding="utf-8")
    told = set(re.findall(r"^### (\w+)$", page, re.M))
    assert set(kit.__all__) - told == {"Capability"}  # it has a table of its own
    assert re.findall(r"^- `.*`: $", page, re.M) == []
