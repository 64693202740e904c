import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.processes.signals import shielded, stoppable, uninterrupted


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
