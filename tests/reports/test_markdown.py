from __future__ import annotations

from msgspec.structs import replace

from harness.record.reader import Record
from harness.record.verdict import Finding, Verdict
from reports import markdown, view
from tests.reports import verdicts


def rendered(record: Record, verdict: Verdict) -> str:
    return markdown.render(view.build(record, verdict))


def test_it_opens_with_the_word_the_grade_and_the_reason(record: Record) -> None:
    verdict = verdicts.not_ready(record)
    lines = rendered(record, verdict).splitlines()
    assert lines[0] == "# NOT READY"
    assert lines[2].startswith("The sale should not open like this.")
    assert lines[4] == f"**Grade F, score 86.4 of 100.** {verdict.reason}"


def test_its_tables_have_as_many_cells_as_headers(record: Record) -> None:
    tables = [block for block in rendered(record, verdicts.not_ready(record)).split("\n\n") if block.startswith("| ")]
    assert len(tables) == 3
    for table in tables:
        assert len({line.count(" | ") for line in table.splitlines()}) == 1


def test_every_invariant_indicator_and_expectation_has_its_row(record: Record) -> None:
    verdict = verdicts.ready(record)
    text = rendered(record, verdict)
    for result in verdict.invariants:
        assert f"`{result.name}`" in text
    for sli in verdict.slis:
        assert f"| {sli.title} |" in text
    rows = sum(line.startswith(f"| {verdict.faults[0].experiment} |") for line in text.splitlines())
    assert rows == len(verdict.faults[0].expectations)


def test_absence_is_said(empty: Record) -> None:
    text = rendered(empty, verdicts.bare(empty))
    for said in ("No load was delivered.", "No finding.", "No invariant was checked.", "Nothing was broken"):
        assert said in text


def test_hostile_text_neither_breaks_a_table_nor_mentions_anybody(record: Record) -> None:
    finding = Finding(severity="major", title="a|b\n# c @all <img>", evidence="`x`", runbook="[l](javascript:1)")
    text = rendered(record, replace(verdicts.ready(record), findings=(finding,), reason="*"))
    assert "a\\|b \\# c \\@all \\<img\\>" in text
    assert "\\[l\\]" in text
    assert "\n# c" not in text
