"""Waits for a condition with a deadline: tests never sleep for a fixed time and hope."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], *, within_s: float = 30.0, what: str = "the condition") -> None:
    """Return when `condition()` is true; fail the test when `within_s` runs out."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within_s} s")
        time.sleep(0.01)
