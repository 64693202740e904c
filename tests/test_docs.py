"""What the documents show works: commands run, runbooks exist, links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.judging.findings import anchors
from harness.registry.invariants import INVARIANTS
from tests.bench import bots

ROOT = Path(__file__).parent.parent
RUNBOOKS = "docs/runbooks.md"
NOT_RUN = (["init"], ["rehearse"], ["capacity"], ["selftest"], ["target", "up"], ["init"], ["adapter", "check"])


def shown_commands() -> list[str]:
    """The arguments of every quick `gatecrash …` line in the README's code blocks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gatecrash ")]
    kept = [words for words in commands if "RUN" not in words and not any(words[: len(n)] == n for n in NOT_RUN)]
    return [shlex.join(words) for words in kept]


def headings(document: str) -> set[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in found}


def test_the_readme_shows_commands() -> None:
    assert len(shown_commands()) >= 5


@pytest.mark.parametrize("command", shown_commands())
def test_a_command_in_the_readme_runs(command: str) -> None:
    words = [sys.executable, "-m", "harness", *shlex.split(command)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


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
