"""What the documents show works: commands run, runbooks exist, links lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from harness.judging.findings import anchors
from harness.registry.invariants import INVARIANTS
from tests.bench import bots

ROOT = Path(__file__).parent.parent
RUNBOOKS = "docs/runbooks.md"


def headings(document: str) -> set[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("anchor", anchors())
def test_every_finding_has_a_runbook(anchor: str) -> None:
    assert anchor in headings(RUNBOOKS)


@pytest.mark.parametrize("file", sorted((ROOT / "chaos/experiments").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_experiment_has_a_runbook(file: Path) -> None:
    document, _, anchor = yaml.safe_load(file.read_text(encoding="utf-8"))["runbook"].partition("#")
    assert document == RUNBOOKS
    assert anchor in headings(document)


@pytest.mark.parametrize(
    "document",
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", RUNBOOKS, "docs/own-platform.md", "docs/adapter-reference.md"],
)
def test_links_lead_somewhere(document: str) -> None:
    here = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)", here.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (here.parent / path).resolve() if path else here
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(str(linked.relative_to(ROOT))), target


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/glossary.md"])
def test_the_files_that_a_document_names_exist(document: str) -> None:
    named = re.findall(
        r"`((?:harness|scenarios|chaos|reports|target|tests|docs)/[\w/.-]*)`", (ROOT / document).read_text()
    )
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_table_of_invariants_is_the_registrys() -> None:
    table = re.search(r"^## The invariants\n(.*?)^## ", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert table is not None
    assert re.findall(r"^\| `(\w+)` \|", table[1], re.M) == list(INVARIANTS)


def test_the_table_of_bots_is_made_from_the_results() -> None:
    results = json.loads((ROOT / "bench-results/bots.json").read_text(encoding="utf-8"))
    assert bots.table(results["turned_off"]) in bots.DOCUMENT.read_text(encoding="utf-8")
