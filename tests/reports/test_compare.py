from harness.paired import compare
from harness.record.reader import Record
from reports.compare import rows
from tests.reports import verdicts


def test_the_whole_run_comes_first_then_what_differed_by_phase(record: Record, quiet: Record) -> None:
    found = compare(quiet, verdicts.ready(quiet), record, verdicts.ready(record), "base", order="two records")
    assert found.left_out == ""
    told = list(rows(found))
    whole = [row for row in told if row.when == "whole run"]
    assert told[: len(whole)] == whole
    assert [row.title for row in whole] == [row.title for row in found.indicators]
    assert all(row.effect in ("worse", "better") for row in told[len(whole) :])
    assert any(row.when == "during payment-latency-8s" and row.effect == "worse" for row in told)
