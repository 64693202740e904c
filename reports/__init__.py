"""Turns a record and its grades into pages that people and machines read.

It judges nothing: what a page says is in the record or in the verdict, or is said to be absent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.record.reader import Record
    from harness.record.verdict import Verdict


def write(record: Record, verdict: Verdict, control: Record | None = None) -> None:
    """Write verdict.json, report.html, report.md and junit.xml into the run directory, each whole or not at all.

    `control`: of a paired run, the record that the verdict was compared with; null when there is none to be trusted.
    """
    from reports import html_page, json_document, junit_xml, markdown, view

    paths, page = record.paths, view.build(record, verdict, control)
    _replace(paths.verdict, json_document.render(verdict))
    _replace(paths.junit, junit_xml.render(verdict))
    _replace(paths.report_markdown, markdown.render(page))
    _replace(paths.report_html, html_page.render(page))


def _replace(path: Path, content: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content.encode("utf-8", "replace"))
    partial.replace(path)
