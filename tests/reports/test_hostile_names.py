"""Names that a platform gave are shown escaped wherever people or CI servers read them: no control character, no line
of their own, no command."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.cli.verdicts import annotate, answer
from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.verdict import Finding, Verdict
from harness.shown import in_a_block, on_one_line
from reports import html_page, junit_xml, markdown, view
from tests.reports import verdicts

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
COMMAND = re.compile(r"^\s*::|##[A-Za-z]*\[", re.MULTILINE)
NAMES = st.one_of(
    st.sampled_from(
        [
            "1-A\x1b[2J-7",
            "\x1b]8;;http://evil\x07o-12\x1b]8;;\x07",
            "o-1\n::error title=x::READY",
            "o-1\r\n  ::set-output name=grade::A",
            "::error::hello",
            "##[error]hello",
            "a ##vso[task.complete result=Succeeded;]",
            "o\u2028::error::x",
            "fan\x9b31m",
            "tac\u202eeman",
            "\ud800",
        ]
    ),
    st.text(min_size=1, max_size=20),
)


def with_name(verdict: Verdict, name: str) -> Verdict:
    """The verdict with that name wherever a platform's names come to stand."""
    worst = verdict.invariants[0]
    violations = tuple(
        replace(
            violation,
            summary=f"{name} was sold twice",
            history=tuple(replace(step, actor=name, text=name) for step in violation.history),
        )
        for violation in worst.violations
    )
    finding = Finding(severity="critical", title=name, evidence=name, runbook="")
    return replace(
        verdict,
        reason=name,
        invariants=(replace(worst, violations=violations, note=name), *verdict.invariants[1:]),
        findings=(finding, *verdict.findings),
    )


def terminal(verdict: Verdict, record: Record) -> str:
    said = StringIO()
    with redirect_stdout(said):
        answer(verdict, RunPaths(root=record.paths.root), json=False)
    return said.getvalue()


def check(text: str, plain: str) -> None:
    """As many lines as with a plain name, and none of what must not be there."""
    assert not CONTROL.search(text)
    assert not COMMAND.search(text)
    assert text.count("\n") == plain.count("\n")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_names_are_shown_escaped_on_terminal_markdown_junit_and_html(name: str, record: Record) -> None:
    hostile, plain = (with_name(verdicts.not_ready(record), one) for one in (name, "x"))
    check(terminal(hostile, record), terminal(plain, record))
    said = markdown.render(view.build(record, hostile))
    check(said, markdown.render(view.build(record, plain)))
    root = Tree.fromstring(junit_xml.render(hostile).encode())
    for case in root.iter():
        for words in (*case.attrib.values(), case.text or ""):
            assert not CONTROL.search(words)
            assert not COMMAND.search(words)
    messages = [case.get("message", "") for case in root.iter() if case.tag in ("failure", "error", "skipped")]
    assert messages
    assert not any("\n" in message for message in messages)
    page = html_page.render(view.build(record, hostile))
    assert not CONTROL.search(page)


@given(name=NAMES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_annotation_is_one_line_of_ours(name: str, record: Record) -> None:
    for line in annotate(with_name(verdicts.not_ready(record), name), {"GITHUB_ACTIONS": "true"}):
        assert re.match(r"::(error|warning|notice) title=", line)
        assert not CONTROL.search(line)
        assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seat 1-A-7", "seat 1-A-7"),
        ("a\n::error::b", "a\\n::error::b"),
        ("  ::error::b", "  \\x3a:error::b"),
        ("\x1b[31m", "\\x1b[31m"),
        ("Zoë 日本", "Zoë 日本"),
        ("##[group]", "\\x23#[group]"),
        ("# heading", "# heading"),
        ("a\u2028b\x00", "a\\u2028b\\x00"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, line: str) -> None:
    assert on_one_line(text) == line


def test_a_block_keeps_its_lines() -> None:
    assert in_a_block("a\n\tb\x1b") == "a\n\tb\\x1b"
