"""Checks a platform of the user's own before a run: the options that fit it, its adapter, its hosts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from harness.errors import InputError
from harness.scenario.file import SHIPPED_JOURNEYS

if TYPE_CHECKING:
    from harness.adapter.checking.report import Description
    from harness.scenario import OwnPlatform, Scenario, ScenarioFile

DEFAULT_STACK: Final = "embedded"


def require_fitting(
    source: ScenarioFile, stack: str, *, plant_bug: str = "", paired: bool = False, random_faults: int = 0
) -> None:
    """Raises InputError for an option that has no meaning for this scenario's platform."""
    from harness.scenario.own_options import is_url
    from harness.stack.choice import require_stack
    from harness.stack.reference.reference_check import require_known_rules

    own = source.scenario.platform
    if own is None:
        require_stack(stack or DEFAULT_STACK)
        require_known_rules(source.scenario.on_sale, source.error)
        return
    if stack and not is_url(stack):
        raise InputError(
            f"{stack!r} raises the reference system, and this scenario has a platform of its own",
            key="--stack", hint="leave it out, or give the platform's URL",
        )  # fmt: skip
    if plant_bug:
        raise InputError(
            "bugs are planted in the reference system only", key="--plant-bug", hint="leave out --platform and --stack"
        )
    if random_faults:
        raise InputError(
            "the faults that are drawn break the reference system",
            key="--random-faults", hint="plan faults on the platform's edges and parts",
        )  # fmt: skip
    if paired and not own.prepare:
        raise InputError(
            "the second half would find what the first has sold", key="--paired", hint="give platform.prepare"
        )


def check_adapter(source: ScenarioFile) -> Description:
    """The capabilities that the adapter declares, asked in a process of its own.

    Raises InputError when the adapter, what the scenario asks of it, or a journey or locustfile of the user's own is
    wrong. Those of the reference system are known; users of a locustfile have no adapter and no capabilities.
    """
    from harness.adapter.checking.report import Description
    from harness.registry.capabilities import Capability
    from harness.rehearsal.adapter import describe, require_journeys, require_locustfile
    from harness.scenario.fit import problems, problems_without_adapter
    from harness.stack.own import absolute
    from harness.yaml_file import suggest

    scenario = source.scenario
    journeys = scenario.journeys.beside(source.folder)
    if journeys.locustfile:
        require_locustfile(journeys.locustfile)
        for problem in problems_without_adapter(scenario):
            raise source.error(problem.message, *problem.key, hint=problem.hint)
        return Description(uses_kit=True, capabilities=())
    theirs = {kind: one for kind, one in journeys.classes.items() if one != SHIPPED_JOURNEYS[kind] and kind != "probe"}
    require_journeys(theirs)
    if scenario.platform is None:
        return Description(uses_kit=False, capabilities=())
    own = absolute(_own(source), source.folder)
    found = describe(own, own.adapter)
    if not found.knows_capabilities:
        return found
    for name in found.capabilities:
        if name not in set(Capability):
            raise InputError(
                f"declares the unknown capability {name!r}", file=own.adapter, hint=suggest(name, list(Capability))
            )
    for problem in problems(scenario, found.capabilities):
        raise source.error(problem.message, *problem.key, hint=problem.hint)
    if scenario.load.bots and scenario.journeys.bot == SHIPPED_JOURNEYS["bot"] and not found.has_bots:
        hint = "give journeys.bot, a class of your own, or set load.bots: 0"
        raise source.error(
            "the bots that come with gatecrash raid the reference system only", "load", "bots", hint=hint
        )
    if own.baseline == "read" and Capability.ORDER_EXPORT not in found.capabilities:
        raise source.error(
            f"the adapter does not declare the capability {Capability.ORDER_EXPORT}, which a baseline needs",
            "platform", "baseline",
        )  # fmt: skip
    return found


def require_ready(source: ScenarioFile, scenario: Scenario, confirmed: Sequence[str]) -> Scenario:
    """Check hosts, variables and adapter, in this order: all that can be checked before a run is made.

    Raises InputError. Returns the scenario without the users who would have nothing to do.
    """
    from harness.scenario.fit import fitted
    from harness.stack.allowed import own_hosts, require_allowed
    from harness.stack.own import require_variables

    own = source.scenario.platform
    if own is not None:
        require_allowed(own_hosts(own), source.scenario.allow_hosts, confirmed)
        require_variables(own, source.error)
    found = check_adapter(source)
    return fitted(scenario, found.capabilities) if found.knows_capabilities else scenario


def file_versions(source: ScenarioFile) -> dict[str, str]:
    """The digests of the user's own adapter and journeys, for the record."""
    scenario = source.scenario
    journeys = scenario.journeys
    files = {kind: one.rpartition(":")[0] for kind, one in journeys.classes.items() if one != SHIPPED_JOURNEYS[kind]}
    if journeys.locustfile:
        files["locustfile"] = journeys.locustfile
    elif scenario.platform is not None:
        files["adapter"] = scenario.platform.adapter.rpartition(":")[0]
    return {name: hashlib.sha256((source.folder / file).read_bytes()).hexdigest() for name, file in files.items()}


def _own(source: ScenarioFile) -> OwnPlatform:
    own = source.scenario.platform
    if own is None:
        raise ValueError("the scenario has no platform of its own")
    return own
