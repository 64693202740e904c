"""A process is known by its number and its start, and seen to live, to have ended, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.processes.identity import Identity, Sight
from tests.waiting import wait_until


def test_a_process_lives_until_it_ends_be_it_waited_for_or_not() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        known = Identity.of(child.pid)
        assert known is not None
        assert known.sight is Sight.LIVES
        child.kill()
        wait_until(lambda: known.sight is Sight.ENDED, what="the zombie")
        assert not known.alive
    assert known.sight is Sight.ENDED
    assert Identity.of(known.pid) is None


def test_another_process_of_the_same_number_is_not_meant() -> None:
    own = Identity.own()
    assert own.alive
    assert Identity(own.pid, f"{own.boot}:1").sight is Sight.ENDED
    assert Identity(own.pid, f"another{own.started}").sight is Sight.ENDED


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="takes root to hide processes")
def test_a_process_that_is_hidden_from_us_did_not_surely_end(tmp_path: Path) -> None:
    """In a mount namespace whose /proc hides the processes of other users, as another user."""
    own = Identity.own()
    program = f"from harness.processes.identity import Identity as I; print(I({own.pid}, {own.started!r}).sight)"
    mounted = "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups"
    words = ["unshare", "--mount", "sh", "-c", f'{mounted} "$@"', "sh", sys.executable, "-c", program]
    seen = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    if seen.stderr.startswith(("mount:", "unshare:")):
        pytest.skip(f"this machine hides no processes: {seen.stderr}")
    assert seen.stdout.strip() == "hidden", seen.stderr
