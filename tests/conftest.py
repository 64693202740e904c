"""How `make test` spreads the suite over processes: a file stays together, and the long ones begin first.

Hypothesis asks the same questions every time, so that the verdict on a commit does not depend on the draw, and has no
eye on the clock. `--hypothesis-profile wide` asks others, and more of them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

PROCESSES_MAX = 12
WHOLE_STACKS = ("tests/e2e/", "tests/target/test_fault_table.py")
"""They start everything and put it under load: one after the other, so that they do not disturb one another."""
LONG = ("tests/chaos/lease/test_lease.py",)
"""Files of minutes, most of which is waiting."""

settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("wide", settings.get_profile("same"), derandomize=False, max_examples=1000)
settings.load_profile("same")


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would everything that the tests start."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(autouse=True)
def _take_back_what_is_offered() -> Iterator[None]:
    """Users' files are offered `gatecrash.…`, which is loaded when somebody looks at it. Hypothesis looks at every
    module, and the journeys would then patch this whole process."""
    yield
    offered = [name for name in sys.modules if name.partition(".")[0] == "gatecrash"]
    if any(type(sys.modules[name]).__name__ == "_LazyModule" for name in offered):
        for name in offered:
            del sys.modules[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: whoever comes last must be short."""
    items.sort(key=lambda item: not item.nodeid.startswith((*WHOLE_STACKS, *LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More than there are processors: most tests wait for other processes most of the time."""
    return min(2 * (os.cpu_count() or 1), PROCESSES_MAX)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """`--dist loadfile`, with all that start a whole stack as if they were one file."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class FilesAndStacks(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "whole stacks" if nodeid.startswith(WHOLE_STACKS) else str(super()._split_scope(nodeid))

    return FilesAndStacks(config, log)
