"""The result of a self-test is kept for its version, and a partial one does not replace a whole one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.errors import EnvironmentProblem
from harness.record.schema import SelfTestSummary
from harness.selftest import memory

WHOLE = SelfTestSummary(
    version="1 abc", began="2026-11-23T10:00:00Z", took_s=300.0, bugs_known=14, bugs_planted=14, bugs_caught=14,
    missed=(), clean_runs=3, false_alarms=0, passed=True,
)  # fmt: skip
PARTIAL = msgspec.structs.replace(WHOLE, bugs_planted=1, bugs_caught=1, clean_runs=0)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_nothing_is_known_before_the_first() -> None:
    assert memory.recall("1 abc") is None


def test_the_last_one_of_this_version_is_recalled_and_no_other() -> None:
    assert memory.remember(WHOLE)
    assert memory.recall("1 abc") == WHOLE
    assert memory.recall("1 abd") is None


def test_a_partial_one_is_kept_only_where_there_is_no_whole_one() -> None:
    assert memory.remember(PARTIAL)
    assert memory.remember(WHOLE)
    assert not memory.remember(PARTIAL)
    assert memory.recall("1 abc") == WHOLE
    other = msgspec.structs.replace(PARTIAL, version="2 def")
    assert memory.remember(other)
    assert memory.recall("2 def") == other


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "1 abc"}'])
def test_what_cannot_be_read_is_as_nothing(content: bytes) -> None:
    memory.path().parent.mkdir(parents=True)
    memory.path().write_bytes(content)
    assert memory.recall("1 abc") is None


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a directory")
    with pytest.raises((EnvironmentProblem, OSError)):
        memory.remember(WHOLE)


def test_the_version_is_that_of_the_release_and_the_commit() -> None:
    assert memory.version_of({"gatecrash": "0.1.0", "commit": "abc+", "python": "3.11"}) == "0.1.0 abc+"
    assert memory.version_of({"gatecrash": "0.1.0"}) == "0.1.0"
