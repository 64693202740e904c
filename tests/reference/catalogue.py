"""docs/reference/{invariants,indicators,experiments,bugs,scenarios}.md: what the registries and shipped files hold."""

from __future__ import annotations

from chaos.specification import experiment
from harness.registry.indicators import INDICATORS, Indicator
from harness.registry.invariants import INVARIANTS
from harness.scenario.file import FOLDER, ScenarioFile
from target.bugs.catalogue import BUGS
from tests.reference.types import MADE, one_line, rows


def render_invariants() -> str:
    """The invariants: what is compared, what a chance is, what is needed."""
    blocks = [f"# Invariants\n\nWhat must hold in every sale, and how it is checked from outside. {MADE}\n"]
    for one in INVARIANTS.values():
        of = f" Only of platforms with `{one.only_of}`." if one.only_of else ""
        of += f" Not of platforms with `{one.not_of}`." if one.not_of else ""
        needs = ", ".join(f"`{name}`" for name in one.needs) or "nothing beyond purchases"
        blocks += [
            f"## {one.name}\n",
            f"**{one.title}.** {one.check}\n",
            f"- A chance: {one.chance}.\n- Needs: {needs}.{of}\n"
            f"- [What to do when it is violated](../runbooks.md#{one.name.replace('_', '-')})\n",
        ]
    return "\n".join(blocks)


def render_indicators() -> str:
    """The indicators: unit, direction, source, meaning."""
    cells = [
        (
            f"[`{one.name}`](../runbooks.md#{one.runbook})",
            one.unit,
            one.better,
            one.source,
            f"{one.description}{_of(one)}",
        )
        for one in INDICATORS.values()
    ]
    said = "What is measured. Scenario files set objectives for them: 100 points at `target`, 0 at `worst`."
    header = ("Indicator", "Unit", "Better", "Measured from", "What")
    return f"# Indicators\n\n{said} {MADE}\n\n{rows(header, cells)}"


def _of(one: Indicator) -> str:
    """Of which platforms it is."""
    only = f" Only of platforms with {' and '.join(f'`{name}`' for name in one.needs)}." if one.needs else ""
    return only + (f" Not of platforms with {' or '.join(f'`{name}`' for name in one.unless)}." if one.unless else "")


def render_experiments() -> str:
    """The experiments that come with gatecrash."""
    cells = []
    for name in experiment.names():
        one = experiment.load(name)
        where = "containers" if one.needs_containers else "any stack"
        cells.append((f"`{name}`", one.component, one.kind, f"{one.length_s:g}", where, one_line(one.hypothesis)))
    said = (
        "The faults that come with gatecrash, for the reference system; those for edges and parts of a platform of "
        "your own are in [faults](../chaos.md#on-a-platform-of-your-own)."
    )
    header = ("Experiment", "Component", "Kind", "Length, s", "Needs", "Hypothesis")
    return f"# Experiments\n\n{said} {MADE}\n\n{rows(header, cells)}"


def render_bugs() -> str:
    """The planted bugs."""
    cells = [(f"`{one.name}`", f"`{one.breaks}`", one_line(one.description)) for one in BUGS.values()]
    said = (
        "Bugs that the reference system can be started with (`gatecrash rehearse smoke --plant-bug NAME`), and the "
        "invariant that each violates. `gatecrash selftest` plants each in turn and demands that the audit finds it."
    )
    return f"# Planted bugs\n\n{said} {MADE}\n\n{rows(('Bug', 'Breaks', 'What is wrong'), cells)}"


def render_scenarios() -> str:
    """The scenarios that come with gatecrash."""
    cells = []
    for path in sorted(FOLDER.glob("*.yaml")):
        one = ScenarioFile(path).scenario
        breaks = ", ".join(f"`{fault.experiment}`" for fault in one.faults) or "nothing"
        cells.append((f"`{one.name}`", one.load.who, f"{one.duration_s:g}", breaks, one_line(one.description)))
    header = ("Scenario", "Who comes", "Length, s", "Breaks", "What it rehearses")
    return f"# Scenarios\n\nThe rehearsals that come with gatecrash. {MADE}\n\n{rows(header, cells)}"
