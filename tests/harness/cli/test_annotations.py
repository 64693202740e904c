"""Workflow commands: only in a job of GitHub Actions, the verdict first, nothing that breaks a line."""

import msgspec
import pytest

from harness.audit import audit
from harness.cli.annotations import annotate, annotate_end
from harness.errors import ExitCode, GatecrashError, InputError, Interrupted, NoVerdict
from harness.judging.grade import grade
from harness.record.verdict import Verdict
from harness.sli import measure
from tests.builders import RunBuilder

GITHUB = {"GITHUB_ACTIONS": "true"}


def judged(builder: RunBuilder) -> Verdict:
    record = builder.record()
    return grade(record, measure(record), audit(record), builder.fault_results())


def test_elsewhere_there_are_none() -> None:
    assert not list(annotate(judged(RunBuilder().double_sell()), {}))


def test_a_violation_is_an_error_with_its_evidence() -> None:
    first, second, *_ = annotate(judged(RunBuilder().double_sell()), GITHUB)
    assert first.startswith("::error title=gatecrash%3A NOT READY::Violated: no seat is sold twice")
    assert second.startswith("::error title=Violated%3A no seat is sold twice")
    assert second.endswith("(docs/runbooks.md#no-double-sell)")


def test_a_run_that_is_ready_is_a_notice_and_percent_signs_are_escaped() -> None:
    verdict = msgspec.structs.replace(judged(RunBuilder()), reason="100 % of\nit")
    assert list(annotate(verdict, GITHUB)) == ["::notice title=gatecrash%3A READY::100 %25 of%0Ait"]


def test_bad_input_is_annotated_at_its_line() -> None:
    error = InputError("unknown key", file="a,b.yaml", line=4, key="load")
    assert list(annotate_end(ExitCode.BAD_INPUT, str(error), error, GITHUB)) == [
        "::error file=a%2Cb.yaml,line=4,title=gatecrash%3A bad usage or input%2C nothing was started"
        "::a,b.yaml:4: load: unknown key"
    ]


@pytest.mark.parametrize(
    ("error", "title"), [(NoVerdict("the stack died"), "NO VERDICT"), (Interrupted("interrupted"), "interrupted")]
)
def test_an_early_end_is_annotated(error: GatecrashError, title: str) -> None:
    [line] = annotate_end(error.exit_code, str(error), error, GITHUB)
    assert line == f"::error title=gatecrash%3A {title}::{error}"
    assert not list(annotate_end(error.exit_code, str(error), error, {}))
