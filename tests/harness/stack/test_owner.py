"""Whose something is that outlives its process, decided from real processes that live and that ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from harness.processes.identity import Identity
from harness.stack.owner import Fate, StackOwner, fate, owner_of

HERE = StackOwner.own()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def raised_by(pid: int) -> StackOwner:
    found = Identity.of(pid)
    assert found is not None
    return msgspec.structs.replace(HERE, process=found)


def test_what_a_living_process_raised_is_kept_and_is_an_orphan_when_that_was_killed(
    child: subprocess.Popen[bytes],
) -> None:
    owner = raised_by(child.pid)
    assert fate([owner, owner], HERE) == (Fate.KEPT, "")
    child.kill()
    child.wait()
    assert fate([owner, owner], HERE) == (Fate.ORPHANED, "")


def test_a_number_that_was_given_out_again_is_another_process() -> None:
    before = Identity(HERE.process.pid, f"{HERE.process.boot}:1")
    assert fate([msgspec.structs.replace(HERE, process=before)], HERE) == (Fate.ORPHANED, "")
    assert fate([HERE], HERE) == (Fate.KEPT, "")


@pytest.fixture
def dead(child: subprocess.Popen[bytes]) -> StackOwner:
    owner = raised_by(child.pid)
    child.kill()
    child.wait()
    return owner


def test_nothing_is_sure_of_what_cannot_be_seen_from_here(dead: StackOwner) -> None:
    elsewhere = Identity(dead.process.pid, "another boot:1")
    for other, why in (
        (msgspec.structs.replace(dead, process=elsewhere), "another machine, or before this one was started"),
        (msgspec.structs.replace(dead, namespaces="pid:[1] time:[1]"), "another container"),
        (msgspec.structs.replace(dead, uid=dead.uid + 1), "another user"),
    ):
        what, said = fate([other], HERE)
        assert what is Fate.UNSURE
        assert why in said
    unnamed = msgspec.structs.replace(HERE, process=Identity(HERE.process.pid, "1.5"))
    assert fate([unnamed], unnamed)[0] is Fate.UNSURE


def test_nothing_is_sure_of_parts_that_do_not_all_name_the_same_owner(dead: StackOwner) -> None:
    for owners in ([], [None], [dead, None], [dead, HERE]):
        assert fate(owners, HERE)[0] is Fate.UNSURE


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"process": 1}', "gone"])
def test_what_is_no_owner_is_none(text: str) -> None:
    assert owner_of(text) is None


def test_an_owner_is_read_as_it_was_written() -> None:
    assert owner_of(msgspec.json.encode(HERE).decode()) == HERE
