"""The probes for an ordinary `chaos run`. A probe raises when its statement does not hold: see the package for why."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Literal

import msgspec

from chaos.faults.tools import Tools
from chaos.injection.guards import holds, page_of, samples_of
from chaos.injection.preflight import places_of, require_ready
from chaos.specification.experiment import CanarySpec, Experiment, Guard
from chaos.toolkit.broken import BROKEN
from chaos.toolkit.platform import DEFAULT, read
from harness.errors import GatecrashError, InputError, NoVerdict


def canary(spec: Mapping[str, object], platform: str = DEFAULT) -> str:
    """ "ok" when one probe through its proxy gets an answer, within a few seconds. Raises GatecrashError otherwise."""
    try:
        wanted = msgspec.convert(dict(spec), CanarySpec)
    except msgspec.ValidationError as error:
        raise InputError(f"cannot be used: {error}", key="spec") from error
    if not wanted.proxy:
        raise InputError("from here only what is behind a fault proxy can be probed", hint="give it a proxy")
    found = read(platform)
    wanted = msgspec.structs.replace(wanted, path=wanted.path.replace("{event}", found.event))
    alone = Experiment(name="canary", hypothesis="", component="", kind="", length_s=1, faults=(), canaries=(wanted,))
    require_ready([wanted], places_of([alone], Tools(found.toxiproxy)))
    return "ok"


def metric(
    metric: str,
    compare: Literal["equals", "at_least", "at_most"],
    value: float,
    labels: Mapping[str, str] | None = None,
    platform: str = DEFAULT,
) -> bool:
    """True when the comparison holds now for every matching series. Raises GatecrashError otherwise."""
    guard = Guard(name=metric, metric=metric, compare=compare, value=value, labels=dict(labels or {}))
    samples = []
    for url in read(platform).metrics.values():
        with closing(page_of(url)) as page:
            samples += samples_of(page)
    answer = holds(guard, samples)
    if answer is None:
        raise GatecrashError(f"no metric of the platform is called {metric} with these labels")
    if not answer:
        raise GatecrashError(f"{metric} is not {compare.replace('_', ' ')} {value:g}")
    return True


def proven() -> bool:
    """True when everything that this run injected was effective, seen from outside, and is healed. Raises NoVerdict
    otherwise, also when an injection failed. It is true before the first injection.
    """
    doubts = [f"{name}: {doubt}" for name, broken in BROKEN.items() if (doubt := broken.doubt)]
    if doubts:
        raise NoVerdict("; ".join(doubts))
    return True


def expectation(experiment: str, name: str) -> str:
    """The state of an expectation: "not yet", or its status and what was observed.

    Raises InputError when the experiment has no such expectation.
    """
    found = BROKEN.get(experiment)
    if found is None:
        return "not yet"
    for one in found.expectations():
        if one.name == name:
            return f"{one.status}: {one.observed}"
    raise InputError(f"{experiment} has no expectation called {name!r}, or could not be begun")


def verdict(experiment: str) -> str:
    """The verdict of a drill: "not yet", READY, NOT READY or NO VERDICT."""
    found = BROKEN.get(experiment)
    return "not yet" if found is None else found.word
