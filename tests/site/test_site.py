"""The site is built without a warning, and what its pages tell people to type exists."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from PIL import Image

from harness.cli import commands
from harness.cli.app import app
from harness.processes.ports import HOST
from tests.site.pages import ELSEWHERE, ROOT, relinked
from tests.site.pictures import BYTES_MAX, FOLDER, PICTURES, WIDTH, Picture, photograph
from tests.target.browser import headless, require_programs

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


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built without a warning."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.site"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "documents" / "site"


def test_the_site_has_every_kind_of_page(site: Path) -> None:
    built = {str(page.relative_to(site)) for page in site.rglob("*.html")}
    assert {"index.html", "reference/cli.html", "explanation/reference-system.html"} <= built


_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "use": "href"}


class Loaded(HTMLParser):
    """What a browser loads for a page, and the elements for which the theme's script loads a program of others."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tempting: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.addresses += filter(None, [found.get(_LOADED.get(tag, ""))])
        classes = set((found.get("class") or "").split())
        self.tempting += classes & {"mermaid", "pyodide", "glightbox"}


@pytest.mark.parametrize(
    ("html", "foreign"),
    [
        ('<script src="https://unpkg.com/x.js"></script>', True),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', True),
        ('<img src="a.svg"><a href="https://example.org/">there</a>', False),
        ('<pre class="mermaid">flowchart LR</pre>', True),
    ],
)
def test_what_is_foreign_is_seen(html: str, foreign: bool) -> None:
    assert bool(foreign_parts(html)) == foreign


def foreign_parts(html: str) -> list[str]:
    loaded = Loaded(html)
    return [one for one in loaded.addresses if urlsplit(one).netloc] + loaded.tempting


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert {str(page.relative_to(site)): found for page in pages if (found := foreign_parts(page.read_text()))} == {}
    sheets = [*site.rglob("*.css"), *site.rglob("*.svg")]
    assert [str(one) for one in sheets if re.search(r"""(url\(|@import )["']?(https?:)?//""", one.read_text())] == []


def test_diagrams_are_pictures_of_the_site_itself(site: Path) -> None:
    page = (site / "project" / "architecture.html").read_text()
    assert "flowchart LR" not in page
    assert 'src="architecture-1.svg"' in page
    assert "harness/judging" in (site / "project" / "architecture-1.svg").read_text()


@pytest.mark.needs_browser
def test_a_browser_asks_no_other_host_for_anything(site: Path) -> None:
    require_programs()
    server = ThreadingHTTPServer((HOST, 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"{HOST}:{server.server_address[1]}"
    try:
        with headless(performance="ALL") as driver:
            for page in ("index.html", "project/architecture.html", "first-rehearsal.html"):
                driver.get(f"http://{here}/{page}")
                driver.execute_script("scrollTo(0, document.body.scrollHeight)")
            log = driver.get_log("performance")  # type: ignore[no-untyped-call]
    finally:
        server.shutdown()
        server.server_close()
    messages = [json.loads(entry["message"])["message"] for entry in log]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert f"http://{here}/index.html" in asked
    assert [url for url in asked if urlsplit(url).scheme.startswith("http") and urlsplit(url).netloc != here] == []


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing of what it was asked for."""

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_there_and_small_and_shown(name: str) -> None:
    path = FOLDER / f"{name}.webp"
    assert path.stat().st_size < BYTES_MAX
    with Image.open(path) as image:
        assert image.format == "WEBP"
        assert image.width == WIDTH
    assert any(f"pictures/{name}.webp" in document.read_text(encoding="utf-8") for document in DOCUMENTS)


def test_every_picture_is_made_by_the_script() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.webp" for name in PICTURES}


@pytest.mark.needs_browser
def test_the_script_photographs_what_it_is_to(tmp_path: Path) -> None:
    require_programs()
    page = tmp_path / "report.html"
    page.write_text(
        "<body style='margin:0'><p style='height:500px'>above</p>"
        "<div id=faults style='background:#f00;height:70px'></div><p>below</p>"
    )
    with headless() as driver:
        taken = photograph(driver, page, Picture((), "#faults", height_max=60))
    with Image.open(io.BytesIO(taken)) as image:
        assert image.size == (WIDTH, 60)
        assert image.convert("RGB").getcolors() == [(WIDTH * 60, (255, 0, 0))]


def test_every_document_is_in_the_navigation() -> None:
    menu = (ROOT / "tests" / "site" / "zensical.toml").read_text(encoding="utf-8")
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in (*pages, *ELSEWHERE.values()) if f'= "{page}"' not in menu] == []
