"""Turns a record and its grades into pages that people and machines read.

It judges nothing: every statement of a page comes from the record or the verdict, and what is absent there is called
absent.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.record.reader import Record
    from harness.record.verdict import Verdict
    from harness.runs.past import Past


def write(
    record: Record,
    verdict: Verdict,
    control: Record | None = None,
    *,
    past: Past | None = None,
    into: Path | None = None,
) -> None:
    """Write the verdict and its reports into the run directory, each file whole or not at all.

    Raises OSError after it has written what it could. A verdict other than NO VERDICT is written only together with its
    reports, so that `gate` never answers what the command itself could not answer. `control`: of a paired run, the
    record that the verdict was compared with; null when there is none to be trusted. `past`: the runs before it.
    `into`: another directory for them, made where there is none; the run directory stays as it is.
    """
    from harness.record.paths import RunPaths
    from harness.record.reserve import give_back
    from harness.record.verdict import Decision
    from reports import comment, html_page, json_document, junit_xml, markdown, view

    page = view.build(record, verdict, control, past)
    if into is None:
        paths = record.paths
        give_back(paths)
    else:
        paths = RunPaths(root=into)
        into.mkdir(parents=True, exist_ok=True)
    rendered = (
        (paths.junit, junit_xml.render(verdict)),
        (paths.report_markdown, markdown.render(page)),
        (paths.comment, comment.render(page)),
        (paths.report_html, html_page.render(page)),
    )
    problems: list[OSError] = []
    for path, content in rendered:
        try:
            _replace(path, content)
        except OSError as error:
            problems.append(error)
    if not problems or verdict.verdict is Decision.NO_VERDICT:
        _replace(paths.verdict, json_document.render(verdict))
    if problems:
        raise problems[0]


def _replace(path: Path, content: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content.encode("utf-8", "replace"))
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
