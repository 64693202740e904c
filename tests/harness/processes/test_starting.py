"""A stop signal while a command is still being loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENDS = "import os, signal\nfrom harness.processes.starting import end_at_once_when_stopped\n"


def ended(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ENDS + program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_it_ends_the_command_with_one_line(name: str) -> None:
    hears = f"signal.signal(signal.{name}, signal.SIG_DFL)\nend_at_once_when_stopped()\n"  # also under nohup
    done = ended(f"{hears}os.kill(os.getpid(), signal.{name})\nprint('went on')")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "gatecrash: interrupted\n")


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As under nohup."""
    done = ended(
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nend_at_once_when_stopped()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\nprint('went on')"
    )
    assert (done.returncode, done.stdout) == (0, "went on\n")
