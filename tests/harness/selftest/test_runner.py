"""Real rehearsals as children: what becomes of one that cannot start, and of all when the self-test is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.selftest.cases import Case, CaseOutcome, CaseResult
from harness.selftest.runner import run

REFUSED = Case(bug="no_such_bug", breaks="queue_order", seed=1)
SLOW = Case(bug="", breaks="", seed=1)


def test_a_rehearsal_that_ends_without_a_verdict_is_not_judged_and_says_why(tmp_path: Path) -> None:
    heard: list[CaseResult] = []
    [result] = run([REFUSED], tmp_path, 1, heard.append)
    assert heard == [result]
    assert (result.outcome, result.run) == (CaseOutcome.NOT_JUDGED, "")
    assert "'no_such_bug' is no planted bug" in result.evidence
    assert (tmp_path / "no_such_bug.log").read_text().startswith(result.evidence)


def test_whoever_stops_the_self_test_stops_its_rehearsals(tmp_path: Path) -> None:
    def stop(_result: CaseResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([REFUSED, SLOW], tmp_path, 2, stop)
    assert [command for command in _commands_below() if str(tmp_path) in command] == []


def _commands_below() -> Iterator[str]:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            yield " ".join(child.cmdline())
