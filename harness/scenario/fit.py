"""Checks a scenario against the capabilities of a platform: says what cannot be done, leaves out what does not apply.

Pure: capabilities and a scenario in; what is wrong, or the scenario that fits, out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from harness.registry.capabilities import Capability, in_words
from harness.registry.indicators import INDICATORS
from harness.registry.invariants import INVARIANTS
from harness.scenario.file import SHIPPED_JOURNEYS, Scenario


class Problem(msgspec.Struct, frozen=True):
    """One thing that cannot be. `key`: where in the scenario, as the keys on the way there."""

    key: tuple[str | int, ...]
    message: str
    hint: str


_GOODS: Final = (Capability.SEATS, Capability.STOCK)


def problems(scenario: Scenario, capabilities: Collection[str]) -> Iterator[Problem]:
    """Everything that this scenario asks for and a platform with these capabilities does not have or show."""
    if not any(kind in capabilities for kind in _GOODS):
        hint = "declare Capability.STOCK, or Capability.SEATS for named seats"
        yield Problem(("platform", "adapter"), "the platform sells neither seats nor stock", hint)
    yield from _objectives(scenario, capabilities)
    for at, name in enumerate(scenario.invariants):
        if missing := _missing(INVARIANTS[name].needs, capabilities):
            hint = "take it out, or declare the capability in the adapter"
            yield Problem(("invariants", at), f"{name} cannot be seen: {missing}", hint)
        elif INVARIANTS[name].not_of in capabilities:
            message = (
                f"{name} is about what is kept for fans: the platform declares {in_words([INVARIANTS[name].not_of])}"
            )
            yield Problem(("invariants", at), message, "take it out")
    shipped_bots = scenario.journeys.bot == SHIPPED_JOURNEYS["bot"]
    if scenario.load.bots and shipped_bots and not {"queue", "seats"} <= set(capabilities):
        message = "bots need a queue to get past and seats to buy up, and the platform has not both"
        yield Problem(("load", "bots"), message, "set load.bots: 0")
    if scenario.platform is not None and scenario.load.spectators and "feed" not in capabilities:
        message = "spectators follow a feed, and the platform has none"
        yield Problem(("load", "spectators"), message, "take it out")
    for name in ("accessible_ratio", "accessible_misuse_ratio"):
        if scenario.platform is not None and getattr(scenario.load.journey, name) and "accessible" not in capabilities:
            hint = "take it out, or declare Capability.ACCESSIBLE in the adapter"
            yield Problem(("load", "journey", name), "the platform shows no accessible seats", hint)
    yield from _rules(scenario, capabilities)


def problems_without_adapter(scenario: Scenario) -> Iterator[Problem]:
    """Everything that the scenario asks for and that the users of a locustfile cannot have or show."""
    for kind in ("bots", "lurkers"):
        if getattr(scenario.load, kind):
            yield Problem(("load", kind), f"{kind} need an adapter, and a locustfile has none", f"set load.{kind}: 0")
    if scenario.platform is not None and scenario.load.spectators:
        yield Problem(("load", "spectators"), "spectators need an adapter, and a locustfile has none", "take it out")
    if scenario.platform is not None and scenario.platform.baseline == "read":
        hint = "take it out: nothing is audited"
        yield Problem(("platform", "baseline"), "without an adapter nobody can read what was sold", hint)
    for at, name in enumerate(scenario.invariants):
        hint = "take it out: nothing is audited"
        yield Problem(("invariants", at), f"{name} cannot be seen without an adapter", hint)
    for name in scenario.objectives:
        if not INDICATORS[name].of_requests and not INDICATORS[name].is_fed:
            hint = f"set it on {', '.join(one.name for one in INDICATORS.values() if one.of_requests)}"
            yield Problem(("objectives", name), "cannot be measured: the users of a locustfile use no adapter", hint)


def fitted(scenario: Scenario, capabilities: Collection[str]) -> Scenario:
    """The scenario without those who would find nothing to do: spectators without a feed, probes without a pass."""
    load = scenario.load
    if "feed" not in capabilities:
        load = replace(load, spectators=0)
    shipped_probes = scenario.journeys.probe == SHIPPED_JOURNEYS["probe"]
    if shipped_probes and not {"probes", "seats"} <= set(capabilities):
        load = replace(load, probes=0)
    return replace(scenario, load=load)


def _objectives(scenario: Scenario, capabilities: Collection[str]) -> Iterator[Problem]:
    own = scenario.platform
    for name in scenario.objectives:
        indicator = INDICATORS[name]
        if missing := _missing(indicator.needs, capabilities):
            hint = "take the objective out, or declare the capability in the adapter"
            yield Problem(("objectives", name), f"cannot be measured: {missing}", hint)
        elif foreign := [one for one in indicator.unless if one in capabilities]:
            hint = f"set it on {name.replace('hold', 'choose')}" if name.startswith("hold_response") else "take it out"
            yield Problem(("objectives", name), f"has no meaning: the platform declares {in_words(foreign)}", hint)
        elif own is not None and indicator.is_fed and name not in own.indicators:
            hint = f"say which of the platform's metrics it is: platform.indicators.{name}: {{metric: NAME}}"
            yield Problem(("objectives", name), "cannot be measured: no metric feeds it", hint)


def _rules(scenario: Scenario, capabilities: Collection[str]) -> Iterator[Problem]:
    own = scenario.platform
    if own is None:
        return
    if "stock" not in capabilities and own.rules.stock is not None:
        hint = "take it out, or declare Capability.STOCK in the adapter"
        yield Problem(("platform", "rules", "stock"), "the platform sells no stock", hint)
    if "no_hold" in capabilities and own.rules.hold_ttl_s is not None:
        message = f"nothing is kept for a time: the platform declares {in_words(['no_hold'])}"
        yield Problem(("platform", "rules", "hold_ttl_s"), message, "take it out")


def _missing(needs: Collection[str], capabilities: Collection[str]) -> str:
    """What is not there of what is needed, in words; "" for nothing."""
    lacking = [one for one in needs if one not in capabilities]
    return f"the platform does not declare {in_words(lacking)}" if lacking else ""
