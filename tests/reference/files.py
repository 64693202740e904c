"""docs/reference/scenario.md, experiment.md and verdict.md, and their JSON Schemas: every field of a file."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from chaos.proxy.toxics import TOXICS
from chaos.specification import expected, fault
from chaos.specification.experiment import CanarySpec, Experiment, Guard
from harness.record import verdict
from harness.scenario import file as scenario
from tests.reference.types import MADE, fields, prose, rows, table

_SCENARIO: Final = f"""\
# Scenario files

A scenario says who comes when, what breaks when, and what must hold. Every key has a default but `name`,
`description` and `duration_s`; `gatecrash scenario show NAME` fills them in, and `--set KEY=VALUE` replaces one.
An editor checks a file against [scenario.schema.json](schemas/scenario.schema.json). {MADE}

`Count` is a whole number from 0 on, `Positive` a number above 0, `NotNegative` one from 0 on, `Ratio` one from 0 to 1,
`Name` a word of lower-case letters, digits, `_` and `-`. Names that end in `_s` are seconds. The section `platform:` is
in the [adapter reference](../adapter-reference.md#the-section-platform).
"""
_EXPERIMENT: Final = f"""\
# Experiment files

An experiment says what to break, how a canary proves it, and what is expected of the platform meanwhile and
afterwards. How it is carried out: [faults](../chaos.md). An editor checks a file against
[experiment.schema.json](schemas/experiment.schema.json). {MADE}
"""
_VERDICT: Final = f"""\
# verdict.json

The answer of a rehearsal for scripts. Fields are only ever added. The schema is
[verdict.schema.json](schemas/verdict.schema.json). What the words mean: [verdict](../verdict.md). {MADE}
"""
SCENARIO_SECTIONS: Final = (
    (scenario.Scenario, "The file"),
    (scenario.OnSale, "on_sale"),
    (scenario.Load, "load"),
    (scenario.Arrivals, "load.arrivals"),
    (scenario.Journey, "load.journey"),
    (scenario.PlannedFault, "faults"),
    (scenario.Objective, "objectives.NAME"),
    (scenario.GeneratorLimits, "generator"),
    (scenario.Journeys, "journeys"),
)


def render_scenario() -> str:
    """docs/reference/scenario.md."""
    blocks = [_SCENARIO]
    for section, place in SCENARIO_SECTIONS:
        blocks += [f"## {place}\n", f"{prose(section)}\n", *table(fields(section), "Key", of_files=True)]
    weights = [(f"`{one}`", said) for one, said in _members(scenario.Tactic)]
    return "\n".join([*blocks, "## load.tactics\n", f"{prose(scenario.Tactic)}\n", rows(("Tactic", "What"), weights)])


def render_experiment() -> str:
    """docs/reference/experiment.md."""
    blocks = [_EXPERIMENT, "## The file\n", *_section(Experiment), "## faults\n"]
    for kind in typing.get_args(fault.Fault):
        blocks += [f"### action: {kind.__struct_config__.tag}\n", *_section(kind)]
    blocks += ["## Toxics\n", "The attributes of `action: toxic` by type.\n"]
    blocks += [rows(("Toxic", "Attributes"), [(f"`{name}`", _attributes(name)) for name in sorted(TOXICS)])]
    blocks += ["## canaries\n", *_section(CanarySpec), "## steady_state and guards\n", *_section(Guard)]
    blocks += ["## expectations\n", "Every expectation has a `name`, which the report shows.\n"]
    for kind in typing.get_args(expected.Expectation):
        blocks += [f"### check: {kind.__struct_config__.tag}\n", *_section(kind)]
    return "\n".join(blocks)


def render_verdict() -> str:
    """docs/reference/verdict.md: the whole document first, then each part where it is first needed."""
    blocks = [_VERDICT]
    for kind in _parts(verdict.Verdict):
        cells = [(f"`{one.name}`", f"`{one.kind}`".replace(" | ", " or ")) for one in fields(kind)]
        blocks += [f"## {kind.__name__}\n", f"{prose(kind)}\n", rows(("Field", "Type"), cells)]
    words = (verdict.Decision, verdict.Status, verdict.Validity)
    blocks += ["## Words\n", rows(("Type", "Values"), [(f"`{one.__name__}`", _values(one)) for one in words])]
    return "\n".join(blocks)


def schema(kind: type, title: str) -> str:
    """The JSON Schema (2020-12) of a file, as msgspec tells it."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title} | msgspec.json.schema(kind)
    return json.dumps(_unindented(made), indent=1, sort_keys=True) + "\n"


def _unindented(made: Any) -> Any:
    """The same with docstrings without the indentation of their class, which Python keeps before 3.13."""
    if isinstance(made, dict):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _unindented(value)
            for key, value in made.items()
        }
    return [_unindented(one) for one in made] if isinstance(made, list) else made


def _section(kind: type) -> Iterator[str]:
    yield f"{prose(kind)}\n"
    yield from table(fields(kind), "Key", of_files=True)


def _attributes(toxic: str) -> str:
    return ", ".join(f"`{name}`" for name in TOXICS[toxic].attributes_type.__struct_fields__) or "none"


def _members(kind: Any) -> list[tuple[str, str]]:
    """The members of an enumeration, with the comments beside them."""
    found = re.findall(r'^\s+\w+ = "(\w+)"\s*# (.*)$', inspect.getsource(kind), re.M)
    assert len(found) == len(kind)
    return found


def _values(kind: Any) -> str:
    return ", ".join(f"`{one.value}`" for one in kind)


def _parts(root: type) -> list[type]:
    """The type and all that its fields are made of, in the order in which they are met."""
    found = [root]
    for kind in found:
        for hint in typing.get_type_hints(kind).values():
            found += [one for one in _structs(hint) if one not in found]
    return found


def _structs(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for inner in typing.get_args(hint):
        yield from _structs(inner)
