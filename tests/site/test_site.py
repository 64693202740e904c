"""The site is built without a warning, and what its pages tell people to type exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli import commands
from harness.cli.app import app
from tests.site.pages import ELSEWHERE, ROOT, relinked

DOCUMENTS = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ELSEWHERE)])
_BLOCK = re.compile(r"^```(?:sh|yaml|)\n(.*?)^```", re.M | re.S)


def typed(document: Path) -> list[list[str]]:
    """The words after `gatecrash` of each command line in the document's code blocks."""
    lines = [line for block in _BLOCK.findall(document.read_text(encoding="utf-8")) for line in block.splitlines()]
    found = []
    for line in lines:
        command = re.match(r"(?:\s*(?:- )?(?:run: )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?)gatecrash (.*)", line)
        if command:
            words = shlex.split(command[1], comments=True)
            found.append(words[: next((at for at, word in enumerate(words) if word in ("&", ">", "|", "&&")), None)])
    return found


def test_every_document_is_read() -> None:
    assert commands is not None
    assert sum(len(typed(document)) for document in DOCUMENTS) > 60


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_shown_exists_with_its_options(document: Path) -> None:
    for words in typed(document):
        command: Any = typer.main.get_command(app)
        rest = list(words)
        while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"gatecrash {shlex.join(words)}"
            command = command.commands[rest.pop(0)]
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "[OPTIONS]"}
        asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert asked <= known, f"gatecrash {shlex.join(words)}"


def test_a_link_leads_to_the_page_or_names_what_is_no_page() -> None:
    pages = {"docs/security.md": "security.md", "README.md": "project/readme.md"}
    text = "see [README](../README.md#in-ci), [the code](../harness/cli/app.py), [x](https://example.org/a)"
    assert relinked(text, "docs/security.md", pages) == (
        "see [README](project/readme.md#in-ci), the code (`harness/cli/app.py`), [x](https://example.org/a)"
    )


def test_the_site_is_built_without_a_warning() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.site"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    site = ROOT / "build" / "documents" / "site"
    built = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    assert {"index.html", "reference/cli.html", "explanation/reference-system.html"} <= built


def test_every_document_is_in_the_navigation() -> None:
    menu = (ROOT / "tests" / "site" / "zensical.toml").read_text(encoding="utf-8")
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in (*pages, *ELSEWHERE.values()) if f'= "{page}"' not in menu] == []
