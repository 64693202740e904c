"""Options and arguments that several commands have, each with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from harness.cli import completion
from harness.input_file import path_of

DEFAULT_OUT: Final = Path("runs")


MinGrade = Annotated[str | None, typer.Option("--min-grade", metavar="A|B|C|D|F", help="Below this grade: NOT READY.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a scenario value; may be repeated.")
]
StackName = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="embedded|compose|URL",
        help="Raise the reference system (embedded, where nothing else is said), or the address of your own platform.",
    ),
]
PlatformClass = Annotated[
    str, typer.Option("--platform", metavar="FILE:CLASS", help="The adapter of your own platform.")
]
Locustfile = Annotated[
    str,
    typer.Option("--locustfile", metavar="FILE", help="Users of a locustfile instead of fans; nothing is audited."),
]
PlantBug = Annotated[
    str,
    typer.Option(
        "--plant-bug", metavar="NAME", autocompletion=completion.bugs, help="Break the reference system on purpose."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
AllowHost = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="HOST", help="Confirm a host of the scenario's allow_hosts; may be repeated."),
]
PairedRun = Annotated[
    bool, typer.Option("--paired", help="Run it twice, first without the faults, and tell what the faults did.")
]
ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO", autocompletion=completion.scenarios, help="A name from `scenario list`, or a file."
    ),
]
ExperimentName = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT", autocompletion=completion.experiments, help="A name from `experiment list`, or a file."
    ),
]
RunDir = Annotated[
    Path,
    typer.Argument(metavar="RUN", parser=path_of, help="A run directory, e.g. runs/20261123-101500-smoke-1a2b."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", parser=path_of, help="Where run directories are made.")]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Same seed, same journeys.")]
