"""A platform of the user's own on the command line: the options that fit it, and what is checked before a run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.rehearsal.adapter import Description
    from harness.scenario import OwnPlatform, Scenario, ScenarioFile

DEFAULT_STACK: Final = "embedded"


def require_fitting(
    source: ScenarioFile, stack: str, *, plant_bug: str = "", paired: bool = False, random_faults: int = 0
) -> None:
    """Raises InputError for an option that means nothing with this scenario's platform."""
    from harness.scenario.own_options import is_url
    from harness.stack.choice import require_stack

    own = source.scenario.platform
    if own is None:
        require_stack(stack or DEFAULT_STACK)
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
    """What the adapter declares, from a process of its own. Raises InputError: it, or what is asked of it, is wrong."""
    from harness.registry.capabilities import Capability
    from harness.rehearsal.adapter import describe
    from harness.scenario.fit import problems
    from harness.stack.own import absolute
    from harness.yaml_file import suggest

    scenario = source.scenario
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
    if own.baseline == "read" and Capability.ORDER_EXPORT not in found.capabilities:
        raise source.error(
            f"the adapter does not declare the capability {Capability.ORDER_EXPORT}, which a baseline needs",
            "platform", "baseline",
        )  # fmt: skip
    return found


def require_ready(source: ScenarioFile, scenario: Scenario, confirmed: Sequence[str]) -> Scenario:
    """Hosts, then variables, then the adapter: all that can be known before a run is made. Raises InputError.

    Returns the scenario without users who would find nothing to do.
    """
    from harness.scenario.fit import fitted
    from harness.stack.allowed import own_hosts, require_allowed
    from harness.stack.own import require_variables

    own = _own(source)
    require_allowed(own_hosts(own), source.scenario.allow_hosts, confirmed)
    require_variables(own, source.error)
    found = check_adapter(source)
    return fitted(scenario, found.capabilities) if found.knows_capabilities else scenario


def adapter_version(source: ScenarioFile) -> dict[str, str]:
    """The digest of the adapter's file, for the record."""
    file = source.folder / _own(source).adapter.rpartition(":")[0]
    return {"adapter": hashlib.sha256(file.read_bytes()).hexdigest()}


def _own(source: ScenarioFile) -> OwnPlatform:
    own = source.scenario.platform
    if own is None:
        raise ValueError("the scenario has no platform of its own")
    return own
