"""Writes junit.xml: each invariant, objective and fault expectation as a test case, for a CI server.

It agrees with the exit code: READY has neither failures nor errors, NO VERDICT has errors only, NOT READY has failures.

    a reason for NOT READY (violated, missed, at its worst)                  failure
    a reason for NO VERDICT                                                  error: somebody has to look
    a missed objective that costs points only; an invariant or expectation
    that was not put to the test, not observable or not measured             skipped, with the reason
"""

from __future__ import annotations

import re
from typing import Final, Literal
from xml.etree import ElementTree as Tree

import msgspec

from harness.judging.counter_example import told
from harness.judging.findings import expectation_id, numbered, objective_id
from harness.judging.notes import few
from harness.judging.why import decides, why
from harness.record.schema import Struct
from harness.record.verdict import Decision, FaultResult, InvariantResult, SliResult, Status, Validity, Verdict
from harness.shown import on_one_line
from reports import text
from reports.view.judged.indicators import state_of

_ILLEGAL: Final = re.compile("[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_Kind = Literal["passed", "failure", "error", "skipped"]
_BAD: Final[dict[Decision, _Kind]] = {Decision.NOT_READY: "failure", Decision.NO_VERDICT: "error"}


class Case(Struct, frozen=True):
    """One test case. `message` is one line; `detail` may be many."""

    suite: str
    name: str
    kind: _Kind = "passed"
    message: str = ""
    detail: str = ""


def render(verdict: Verdict) -> str:
    """The verdict as JUnit XML; characters that XML cannot hold are left out."""
    suites: dict[str, list[Case]] = {}
    for case in cases(verdict):
        suites.setdefault(case.suite, []).append(case)
    root = Tree.Element("testsuites", {"name": "gatecrash", **_counts(list(cases(verdict)))})
    for name, members in suites.items():
        attributes = {"name": f"gatecrash.{name}", **_counts(members), "skipped": _count(members, "skipped")}
        if verdict.t0:
            attributes["timestamp"] = _clean(verdict.t0)
        suite = Tree.SubElement(root, "testsuite", attributes)
        for case in members:
            _add(suite, case)
    Tree.indent(root)
    return Tree.tostring(root, encoding="unicode", xml_declaration=False).join((_DECLARATION, "\n"))


_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def cases(verdict: Verdict) -> tuple[Case, ...]:
    """All test cases, in the order of the report."""
    found = (
        *_verdict(verdict),
        *(_invariant(result) for result in verdict.invariants),
        *(_objective(verdict, sli) for sli in verdict.slis if sli.objective is not None),
        *(case for name, fault in numbered(verdict.faults) for case in _fault(verdict, name, fault)),
    )
    return tuple(_as_decided(case, verdict.verdict) for case in found)


def _as_decided(case: Case, decision: Decision) -> Case:
    """Mark a case as skipped whose kind would contradict the verdict; its message keeps what it found."""
    if decision is Decision.READY and case.kind in ("failure", "error"):
        return msgspec.structs.replace(case, kind="skipped")
    if decision is Decision.NO_VERDICT and case.kind == "failure":
        return msgspec.structs.replace(case, kind="error" if case.suite == "invariants" else "skipped")
    return case


def _verdict(verdict: Verdict) -> list[Case]:
    kind = _BAD.get(verdict.verdict, "passed")
    detail = "\n".join(on_one_line(f"{line.of}: {line.text} (do: {line.action})") for line in why(verdict))
    found = [Case(suite="verdict", name="ready", kind=kind, message=verdict.reason, detail=detail)]
    if verdict.generator is not None:
        invalid = verdict.generator.validity is Validity.INVALID
        message = f"{verdict.generator.validity.value}: {few(verdict.generator.reasons) or 'no objection'}"
        found.append(
            Case(suite="verdict", name="load generator", kind="error" if invalid else "passed", message=message)
        )
    return found


def _invariant(result: InvariantResult) -> Case:
    kinds: dict[Status, _Kind] = {
        Status.HELD: "passed",
        Status.VIOLATED: "failure",
        Status.UNKNOWN: "error",
        Status.NOT_OBSERVABLE: "skipped",
        Status.NOT_EXERCISED: "skipped",
    }
    summaries = "; ".join(violation.summary for violation in result.violations)
    lines = [
        on_one_line(f"{text.exactly_at(step.t_s)}  {told(step)}")
        for found in result.violations
        for step in found.history
    ]
    tested = f"put to the test {text.counted(result.chances, 'time')}"
    message = summaries or result.note or (tested if result.chances else result.status.value.replace("_", " "))
    return Case(
        suite="invariants", name=result.name, kind=kinds[result.status], message=message, detail="\n".join(lines)
    )


def _objective(verdict: Verdict, sli: SliResult) -> Case:
    value, objective, worst = text.quantities(sli.unit, sli.value, sli.objective, sli.worst)
    message = f"{value}, objective {objective}, worst {worst}, from {text.counted(sli.samples, 'sample')}"
    message += f"; {sli.note}" if sli.note else ""
    state = state_of(sli)
    case = Case(suite="objectives", name=sli.name, message=message, detail=_why(verdict, objective_id(sli.name)))
    if state == "met":
        return case
    if decides(verdict, sli):
        return msgspec.structs.replace(case, kind="failure")
    if state == "no_samples" and sli.required:
        return msgspec.structs.replace(case, kind="error", message=f"could not be measured: {message}")
    weight = "missed, which costs points" if state == "missed" else "could not be measured"
    return msgspec.structs.replace(case, kind="skipped", message=f"{weight}: {message}")


def _why(verdict: Verdict, finding_id: str) -> str:
    cause = verdict.cause_of(finding_id)
    return "" if cause is None else on_one_line(f"why: {cause.sentence}")


def _fault(verdict: Verdict, name: str, fault: FaultResult) -> list[Case]:
    suite = f"faults.{name}"
    unproven = fault.error or "the canary did not see the fault take effect and heal"
    proof = Case(
        suite=suite, name="proven", kind="passed" if fault.proven else "error", message="" if fault.proven else unproven
    )
    kinds: dict[str, _Kind] = {"met": "passed", "missed": "failure"}
    return [
        proof,
        *(
            Case(
                suite=suite,
                name=expectation.name,
                kind=kinds.get(expectation.status, "skipped"),
                message=f"observed {expectation.observed}, expected {expectation.expected}",
                detail=_why(verdict, expectation_id(name, expectation.name)),
            )
            for expectation in fault.expectations
        ),
    ]


def _add(suite: Tree.Element, case: Case) -> None:
    element = Tree.SubElement(
        suite,
        "testcase",
        {
            "classname": _clean(on_one_line(f"gatecrash.{case.suite}")),
            "name": _clean(on_one_line(case.name)),
            "time": "0",
        },
    )
    if case.kind == "passed":
        said = "\n".join(filter(None, (on_one_line(case.message), case.detail)))
        if said:
            Tree.SubElement(element, "system-out").text = _clean(said)
        return
    problem = Tree.SubElement(element, case.kind, {"message": _clean(on_one_line(case.message))})
    problem.text = _clean(case.detail) or None


def _counts(members: list[Case]) -> dict[str, str]:
    return {
        "tests": str(len(members)),
        "failures": _count(members, "failure"),
        "errors": _count(members, "error"),
        "time": "0",
    }


def _count(members: list[Case], kind: _Kind) -> str:
    return str(sum(case.kind == kind for case in members))


def _clean(words: str) -> str:
    return _ILLEGAL.sub("", words)
