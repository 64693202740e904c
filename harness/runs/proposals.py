"""What a staircase of runs proposes: admission rate, hold time, sizes of pools, number of workers. Pure.

Each proposal is arithmetic on a figure that was measured, and names it. Beyond what was measured nothing is proposed:
where something was full, how much of it would be enough was not seen, and what to try next is said instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from harness.amounts import amount, number
from harness.record.schema import Struct
from harness.runs.staircase import SATURATED, Staircase, Step, Used, rate_in_words

_CUT_SHORT: Final = 0.8
"""Where fans needed more than this share of the time of a hold, slower fans may not have been seen."""
_NUMBERED: Final = re.compile(r"[-_ ]?\d+$")


class Proposal(Struct, frozen=True):
    """One proposal. what: admission_rate | hold_ttl | pool | workers. `value`: null where none can be made."""

    what: str
    value: float | None
    unit: str
    said: str


def proposals(found: Staircase) -> Iterator[Proposal]:
    """What the runs propose; nothing where not even the lowest rate is carried."""
    carried, failed = found.carried, found.failed
    if carried is None:
        return
    yield _admission(carried, failed)
    if (ttl := _hold_ttl(carried)) is not None:
        yield ttl
    yield from _pools(carried, failed)
    yield from _workers(carried, failed)


def _admission(carried: Step, failed: Step | None) -> Proposal:
    let_in = "" if carried.let_in_per_s is None else f", with {amount(carried.let_in_per_s, 'per_s')} let in"
    beyond = "no higher rate was tried" if failed is None else f"{rate_in_words(failed)} were not"
    said = f"Let in at most {rate_in_words(carried)}: so many were carried{let_in}; {beyond}."
    return Proposal(what="admission_rate", value=carried.rate_per_s, unit="per_s", said=said)


def _hold_ttl(carried: Step) -> Proposal | None:
    buying = carried.buying
    if buying is None:
        return None
    p99, ttl = amount(buying.p99_s, "s", [buying.ttl_s]), amount(buying.ttl_s, "s", [buying.p99_s])
    measured = f"99 % of {buying.paid:,} paid holds were paid within {p99} at {rate_in_words(carried)}"
    if buying.p99_s > _CUT_SHORT * buying.ttl_s:
        cut = f"holds of {ttl} may have cut slower fans off: try longer ones"
        said = f"No hold time can be proposed: {measured}, and {cut}."
        return Proposal(what="hold_ttl", value=None, unit="s", said=said)
    value = float(math.ceil(buying.p99_s))
    unpaid = buying.holds - buying.paid
    idle = (
        f"; {unpaid:,} of {buying.holds:,} holds were never paid, and kept their tickets to the end" if unpaid else ""
    )
    said = (
        f"Hold tickets for at least {value:g} s, and no longer than fans need: {measured}{idle}. "
        "Fans who think longer than the scenario's need more."
    )
    return Proposal(what="hold_ttl", value=value, unit="s", said=said)


def _pools(carried: Step, failed: Step | None) -> Iterator[Proposal]:
    yield from _sized("pool", _named(carried, "pool_"), _named(failed, "pool_"), carried, failed)


def _workers(carried: Step, failed: Step | None) -> Iterator[Proposal]:
    yield from _sized("workers", _roles(carried), _roles(failed), carried, failed)
    machine = next(iter(_named(failed, "machine")), None)
    if machine is not None and machine.is_full and failed is not None:
        used = (
            f"{number(machine.busy, [machine.whole])} of {machine.whole:g} cores were in use at {rate_in_words(failed)}"
        )
        said = f"More workers on this machine would not help: {used}."
        yield Proposal(what="workers", value=None, unit="", said=said)


def _sized(
    what: str, good: Iterable[Used], bad: Iterable[Used], carried: Step, failed: Step | None
) -> Iterator[Proposal]:
    """A proposal for each that was full, or else for the one of which the largest share was in use."""
    then = {one.name: one for one in bad}
    known = [(one, then.get(one.name)) for one in good]
    full = [pair for pair in known if _highest(*pair).is_full]
    for at_carried, at_failed in full or sorted(known, key=lambda pair: -_share(_highest(*pair)))[:1]:
        most = _highest(at_carried, at_failed)
        at = carried if most is at_carried or failed is None else failed
        used = f"{number(most.busy, [most.whole])} of {most.whole:g} were in use at {rate_in_words(at)}"
        unit = "connections" if what == "pool" else "processes"
        if most.is_full:
            said = (
                f"{most.title}: {used}. How many more it takes was not seen; try {2 * most.whole:g} and measure again."
            )
            yield Proposal(what=what, value=None, unit=unit, said=said)
            continue
        enough = max(1, math.ceil(most.busy / SATURATED))
        fits = "1 is" if enough == 1 else f"{enough:,} are"
        said = f"{most.title}: {used}; {fits} enough for that, and nothing is known of higher rates."
        yield Proposal(what=what, value=float(enough), unit=unit, said=said)


def _highest(one: Used, other: Used | None) -> Used:
    return one if other is None or other.busy <= one.busy else other


def _share(one: Used) -> float:
    return one.busy / one.whole


def _named(step: Step | None, prefix: str) -> list[Used]:
    return [] if step is None else [one for one in step.used if one.name.startswith(prefix)]


def _roles(step: Step | None) -> list[Used]:
    """The processes of one role together: booking and booking-2 are two workers."""
    own = sorted(_named(step, "cpu_"), key=_role)
    return [_together(role, list(group)) for role, group in groupby(own, key=_role)]


def _together(role: str, group: list[Used]) -> Used:
    busy, whole = sum(one.busy for one in group), float(sum(one.whole for one in group))
    workers = "1 process" if whole == 1 else f"{whole:g} processes"
    return Used(name=role, title=f"{role.removeprefix('cpu_')}, {workers}, in cores", busy=busy, whole=whole)


def _role(one: Used) -> str:
    return _NUMBERED.sub("", one.name)
