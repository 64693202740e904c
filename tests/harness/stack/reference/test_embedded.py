"""The embedded stack takes itself down whenever a signal comes. What it raises here is one process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from harness.processes.managed import ManagedProcess
from harness.processes.signals import stoppable
from harness.scenario import OnSale
from harness.stack.reference.embedded import EmbeddedStack


class Interrupted(EmbeddedStack):
    """Is told to stop when its last part is up."""

    def _raise(self, root: Path) -> None:
        self.root = root
        self.part = ManagedProcess(
            "part", [sys.executable, "-c", "import signal; signal.pause()"], log=self._logs / "part.log"
        )
        self._keep(self.part)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_comes_when_all_is_up_leaves_nothing(tmp_path: Path) -> None:
    stack = Interrupted(OnSale(), tmp_path)
    with stoppable(), pytest.raises(KeyboardInterrupt):
        stack.__enter__()
    assert not stack.root.exists()
    assert not stack.part.running
