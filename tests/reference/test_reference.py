"""The reference pages are what the code says today, and say something of everything."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from chaos.specification.experiment import FOLDER as EXPERIMENTS
from harness.adapter import kit
from harness.scenario.file import FOLDER
from tests.reference import adapter
from tests.reference.adapter import PAGE, SECTIONS
from tests.reference.files import SCENARIO_SECTIONS as SCENARIO
from tests.reference.pages import PAGES, SCHEMAS
from tests.reference.types import fields


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_made_from_the_code(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path](), "run: python -m tests.reference"


def test_every_page_of_the_reference_is_made() -> None:
    folder = adapter.PAGE.parent / "reference"
    assert {path for path in folder.rglob("*") if path.is_file()} == PAGES.keys() - {adapter.PAGE}


def test_every_key_of_a_scenario_has_a_meaning() -> None:
    assert [(place, one.name) for section, place in SCENARIO for one in fields(section) if not one.meaning] == []
    for section, _ in SCENARIO:
        assert [one.name for one in fields(section)] == list(section.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "shipped"),
    [("scenario", sorted(FOLDER.glob("*.yaml"))), ("experiment", sorted(EXPERIMENTS.glob("*.yaml")))],
)
def test_a_schema_takes_every_shipped_file_and_refuses_an_unknown_key(name: str, shipped: list[Path]) -> None:
    schema = Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")))
    schema.check_schema(schema.schema)
    assert len(shipped) >= 5
    for path in shipped:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert [str(error.message) for error in schema.iter_errors(document)] == []
        assert list(schema.iter_errors(document | {"no_such_key": 1})) != []


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
