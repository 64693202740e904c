"""Every page in a real browser: no violation of axe-core's rules, valid HTML, and no sideways scroll on a phone.

axe-core (MPL-2.0) and html-validate (MIT) are tools of this test and no part of gatecrash: `.ci/run` installs them with
npm and names their folder in GATECRASH_PAGE_TOOLS.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace
from selenium import webdriver

from harness.paired import compare
from harness.record.reader import Record
from harness.runs.past import past_runs
from reports import compare as comparison_page
from reports import html_page, runs_page, view
from tests.harness.runs.test_comparable import written
from tests.paper_stock import StockSale
from tests.reports import verdicts
from tests.target.browser import Page, driver

__all__ = ["driver"]

pytestmark = pytest.mark.needs_browser

_TOOLS: Final = Path(os.environ.get("GATECRASH_PAGE_TOOLS", "/nonexistent")) / "node_modules"
_AXE: Final = _TOOLS / "axe-core" / "axe.min.js"
_VALIDATE: Final = _TOOLS / ".bin" / "html-validate"
_RUN_AXE: Final = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  found => done(found.violations.map(one => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map(node => node.html)}`)),
  error => done([String(error)]));
"""
_RULES: Final = """{"extends": ["html-validate:standard", "html-validate:document"], "rules": {
  "no-inline-style": "off", "void-style": "off", "no-trailing-whitespace": "off", "long-title": "off"}}"""


@pytest.fixture(scope="module")
def pages(record: Record, quiet: Record, empty: Record, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each page that gatecrash writes, as a file."""
    folder = tmp_path_factory.mktemp("pages")
    for name, day in (("a", 20), ("b", 21)):
        written(folder / "runs", name, f"2026-11-{day}T10:00:00Z")
    base, run = verdicts.ready(quiet), verdicts.not_ready(record)
    found = compare(quiet, base, record, run, "base", order="two records")
    html = {
        "report": html_page.render(
            view.build(record, replace(run, paired=found, hops=verdicts.HOPS, waterfalls=verdicts.WATERFALLS), quiet)
        ),
        "nothing": html_page.render(view.build(empty, verdicts.bare(empty))),
        "own": _of_a_shop(folder / "own"),
        "runs": runs_page.render(tuple(past_runs(folder / "runs"))),
        "comparison": comparison_page.html(comparison_page.comparison(base, run, found, "other versions: locust")),
    }
    files = {name: folder / f"{name}.html" for name in html}
    for name, file in files.items():
        file.write_text(html[name], encoding="utf-8")
    return files


def _of_a_shop(folder: Path) -> str:
    """The report on a shop whose address is longer than a line."""
    sale = StockSale()
    own = {**sale.run.scenario["platform"], "url": f"http://127.0.0.1:8000/catalogue/{'standing' * 12}_1/"}
    sale.changed(scenario={**sale.run.scenario, "platform": own})
    record = Record.open(sale.write(folder).root)
    return html_page.render(view.build(record, verdicts.bare(record)))


def violations(driver: webdriver.Chrome) -> list[str]:
    """What axe-core says of the page that is open."""
    if not _AXE.is_file():
        pytest.skip("needs axe-core: npm install axe-core, and its folder in GATECRASH_PAGE_TOOLS")
    driver.execute_script(_AXE.read_text(encoding="utf-8"))
    return list(driver.execute_async_script(_RUN_AXE))


def validated(files: Iterable[Path], folder: Path) -> tuple[int, str, str]:
    """The exit code of html-validate, and what it says of the files."""
    if not _VALIDATE.exists():
        pytest.skip("needs html-validate: npm install html-validate, and its folder in GATECRASH_PAGE_TOOLS")
    rules = folder / "rules.json"
    rules.write_text(_RULES)
    command = ["node", str(_VALIDATE.resolve()), "--config", str(rules), "--formatter", "text", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["report", "nothing", "runs", "comparison"])
@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 420)])
def test_no_page_violates_a_rule_of_accessibility(
    name: str, dark: bool, width: int, pages: dict[str, Path], driver: webdriver.Chrome
) -> None:
    page = Page(driver, pages[name].as_uri())
    page.look(dark=dark, width=width)
    page.open("")
    assert violations(driver) == []
    assert page.complaints() == []


def test_a_page_that_violates_rules_is_found(tmp_path: Path, driver: webdriver.Chrome) -> None:
    file = tmp_path / "broken.html"
    invalid = "<i id=a><ul></ul></i><b id=a></b>"
    file.write_text(f"<!doctype html><title>x</title><p style='color:#ccc'>pale</p><img src='data:,'>{invalid}")
    driver.get(file.as_uri())
    found = {line.partition(":")[0] for line in violations(driver)}
    assert {"color-contrast", "html-has-lang", "image-alt"} <= found
    code, said, _ = validated([file], tmp_path)
    assert code == 1
    assert "element-permitted-content" in said
    assert "no-dup-id" in said


@pytest.mark.parametrize("name", ["report", "nothing", "own", "runs", "comparison"])
def test_a_phone_never_scrolls_sideways(name: str, pages: dict[str, Path], driver: webdriver.Chrome) -> None:
    page = Page(driver, pages[name].as_uri())
    page.look(width=420)
    page.open("")
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 420


def test_every_page_is_valid_html(pages: dict[str, Path], tmp_path: Path) -> None:
    assert validated(pages.values(), tmp_path) == (0, "", "")
