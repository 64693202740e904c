"""Exports an experiment of ours as a file of Chaos Toolkit's, and tells what that file leaves out.

Faults at fault proxies become `inject` on a platform that runs already, judged by its metrics. Faults on processes and
databases need a stack of ours: they become a whole `drill`, which leaves nothing out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.specification.expected import CounterIncreases, Expectation, MetricReaches
from chaos.specification.experiment import Experiment, Guard
from chaos.toolkit import definition
from chaos.toolkit.document import (
    Activity,
    Document,
    Extension,
    Hypothesis,
    Pauses,
    Provider,
    Runtime,
    Strategy,
    our_module,
)
from chaos.toolkit.platform import DEFAULT, VARIABLE

PLATFORM: Final = "${gatecrash_platform}"
_CONFIGURATION: Final = {"gatecrash_platform": {"type": "env", "key": VARIABLE, "default": DEFAULT}}
_SCRAPED_S: Final = 1.0
"""How much longer than its time an expectation is waited for, so that the last scrape is in."""


def export(experiment: Experiment) -> Document:
    """The whole file."""
    drilled = experiment.needs_stack_control
    return Document(
        version="1.0.0",
        title=f"{experiment.name}: {experiment.hypothesis}",
        description=f"{experiment.component}: {experiment.kind}. Exported by gatecrash.",
        tags=("gatecrash", experiment.name),
        extensions=(Extension(name="gatecrash", not_expressed=not_expressed(experiment)),),
        configuration={} if drilled else dict(_CONFIGURATION),
        runtime=Runtime(rollbacks=Strategy(strategy="always")),
        hypothesis=Hypothesis(title=experiment.hypothesis, probes=tuple(_hypothesis(experiment))),
        method=_drill(experiment) if drilled else _inject_and_heal(experiment),
        rollbacks=(_action(f"heal {experiment.name}, if it still is in force", "heal", experiment=experiment.name),),
    )


def not_expressed(experiment: Experiment) -> tuple[str, ...]:
    """What the file leaves out, one line each; empty when it is a whole drill."""
    if experiment.needs_stack_control:
        return ()
    unheard = [f"the guard {guard.name!r}: {_NO_LOAD}" for guard in _on_load(experiment.steady_state)]
    unheard += [f"the guard {guard.name!r}: {_NO_LOAD}" for guard in _on_load(experiment.guards)]
    unjudged = [one for one in experiment.expectations if not _is_expressed(one)]
    unheard += [f"the expectation {one.name!r}: {_NO_LOAD}" for one in unjudged]
    audit = "the invariants: nobody keeps a history of operations here"
    return tuple(f"{what}; gatecrash drill {experiment.name} judges it" for what in (*unheard, audit))


_NO_LOAD: Final = "it needs the load and the record of a rehearsal"


def _on_load(guards: tuple[Guard, ...]) -> list[Guard]:
    return [guard for guard in guards if guard.metric.startswith("load_")]


def _is_expressed(expectation: Expectation) -> bool:
    """Whether the platform's metrics alone can judge this expectation."""
    return isinstance(expectation, MetricReaches) or (
        isinstance(expectation, CounterIncreases) and not expectation.needs_step
    )


def _hypothesis(experiment: Experiment) -> list[Activity]:
    """The probes of the hypothesis, proofs first: without an effective fault the other probes say nothing."""
    name = experiment.name
    probes = [_probe("every fault was effective, and is healed", "proven", tolerance=True)]
    if experiment.needs_stack_control:
        judged = experiment.expectations
        probes += [_probe("the drill's verdict", "verdict", tolerance=_one_of("not yet", "READY"), experiment=name)]
    else:
        judged = tuple(one for one in experiment.expectations if _is_expressed(one))
        steady = [one for one in experiment.steady_state if one not in _on_load(experiment.steady_state)]
        probes += [_canary(experiment, at) for at in range(len(experiment.canaries))]
        probes += [_steady(guard) for guard in steady]
    met = _one_of("not yet", "met: .*")
    probes += [_probe(one.name, "expectation", tolerance=met, experiment=name, name=one.name) for one in judged]
    return probes


def _canary(experiment: Experiment, at: int) -> Activity:
    spec = experiment.canaries[at]
    arguments = {"spec": msgspec.to_builtins(spec), "platform": PLATFORM}
    return _probe(f"{spec.probe} at {spec.place} gets through", "canary", tolerance="ok", **arguments)


def _steady(guard: Guard) -> Activity:
    wanted = {key: getattr(guard, key) for key in ("metric", "labels", "compare", "value")}
    return _probe(guard.name, "metric", tolerance=True, **wanted, platform=PLATFORM)


def _inject_and_heal(experiment: Experiment) -> tuple[Activity, ...]:
    arguments = {"experiment": definition.plain(experiment), "platform": PLATFORM, "length_s": experiment.length_s}
    inject = _action(f"inject {experiment.name}", "inject", **arguments)
    heal = _action(f"heal {experiment.name}", "heal", experiment=experiment.name)
    pauses = Pauses(before=experiment.length_s, after=_recovery_s(experiment))
    return inject, msgspec.structs.replace(heal, pauses=pauses)


def _recovery_s(experiment: Experiment) -> float:
    """How long after the heal the last of the expectations may take."""
    times_s = [_SCRAPED_S]
    for one in experiment.expectations:
        if isinstance(one, MetricReaches):
            since_s = 0.0 if one.of == "heal" else experiment.length_s
            times_s.append(one.within_s - since_s + _SCRAPED_S)
        elif isinstance(one, CounterIncreases):
            times_s.append(one.grace_s + _SCRAPED_S)
    return max(times_s)


def _drill(experiment: Experiment) -> tuple[Activity, ...]:
    return (_action(f"drill {experiment.name}", "drill", experiment=definition.plain(experiment)),)


def _action(title: str, func: str, **arguments: object) -> Activity:
    return Activity(type="action", name=title, provider=_provider(func, arguments))


def _probe(title: str, func: str, *, tolerance: bool | str | dict[str, object], **arguments: object) -> Activity:
    return Activity(type="probe", name=title, tolerance=tolerance, provider=_provider(func, arguments))


def _provider(func: str, arguments: dict[str, object]) -> Provider:
    return Provider(module=our_module(), func=func, arguments=arguments)


def _one_of(*words: str) -> dict[str, object]:
    """A tolerance of several values, in a form that Chaos Toolkit does not take for a range."""
    return {"type": "regex", "pattern": f"^({'|'.join(words)})$"}
