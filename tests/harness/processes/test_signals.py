import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from harness.processes.signals import give_way, shielded, stoppable, uninterrupted
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_first_signal_raises_and_later_ones_do_not() -> None:
    with stoppable():
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        interrupt()  # says that it is stopping already


def test_a_signal_waits_for_the_end_of_cleaning_up() -> None:
    done = []

    def clean_up() -> None:
        with uninterrupted():
            interrupt()
            done.append("cleaned")
        done.append("never")

    with stoppable(), pytest.raises(KeyboardInterrupt):
        clean_up()
    assert done == ["cleaned"]


def test_a_shielded_resource_is_left_whole() -> None:
    log = []

    @contextmanager
    def resource() -> Iterator[str]:
        yield "r"
        interrupt()
        log.append("left")

    with stoppable(), pytest.raises(KeyboardInterrupt), shielded(resource()) as entered:
        log.append(entered)
    assert log == ["r", "left"]


def test_an_error_inside_still_leaves_the_resource() -> None:
    log = []

    @contextmanager
    def resource() -> Iterator[None]:
        try:
            yield
        finally:
            log.append("left")

    with pytest.raises(ValueError, match="inside"), shielded(resource()):
        raise ValueError("inside")
    assert log == ["left"]


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_in_the_first_step_of_leaving_a_shielded_resource_does_not_prevent_the_leaving() -> None:
    left = []

    class Resource:
        def __enter__(self) -> None: ...

        def __exit__(self, *exc: object) -> None:
            left.append(True)

    def leave_when_a_signal_comes(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code is shielded.__exit__.__code__ and not left:
            sys.setprofile(None)
            interrupt()

    with stoppable(), pytest.raises(KeyboardInterrupt), shielded(Resource()):
        sys.setprofile(leave_when_a_signal_comes)
    assert left == [True]


IN_THE_MIDST_OF_A_FORK = """
import os, signal, subprocess, sys, time
from harness.processes.signals import stoppable

os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
with stoppable():
    try:
        subprocess.run(["true"], preexec_fn=lambda: None)
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s:
            time.sleep(0.01)
        print("never heard")
    except KeyboardInterrupt:
        print("heard")
"""


def test_a_signal_in_the_moment_of_a_fork_is_heard_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_MIDST_OF_A_FORK], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout == "heard\n", done.stderr
    assert done.stderr.splitlines() == ["SIGINT: stopping; healing faults and taking processes down"]


def test_a_signal_in_a_finalizer_is_heard() -> None:
    class Finalized:
        def __del__(self) -> None:
            interrupt()

    def wait() -> None:
        one = Finalized()
        del one
        wait_until(lambda: False, what="the signal", within_s=30)

    with stoppable(), pytest.raises(KeyboardInterrupt):
        wait()


def test_work_that_is_not_interrupted_gives_way_where_it_can_be_left() -> None:
    done = []

    def work() -> None:
        with uninterrupted():
            interrupt()
            done.append("a step")
            give_way()
            done.append("never")

    with stoppable(), pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["a step"]


def test_the_shield_of_another_thread_keeps_nothing_from_the_main_thread() -> None:
    inside, over = threading.Event(), threading.Event()

    def work() -> None:
        with uninterrupted():
            inside.set()
            over.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(30)
    try:
        with stoppable(), pytest.raises(KeyboardInterrupt):
            interrupt()
    finally:
        over.set()
        thread.join()


def test_under_nohup_the_end_of_the_terminal_is_not_heard() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                interrupt()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
