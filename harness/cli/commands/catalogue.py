"""`scenario` and `experiment`: list, show and check what can be run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from harness.cli.app import experiment_app, scenario_app
from harness.cli.loading import load_planned, require_known_metrics
from harness.cli.options import Changes, ExperimentName, Locustfile, PlatformClass, ScenarioName, StackName
from harness.errors import InputError
from harness.scenario import Edge, Part, PlannedFault


@scenario_app.command("list")
def scenario_list() -> None:
    """The scenarios that come with gatecrash.

    \b
    gatecrash scenario list
    """
    from harness import scenario as scenarios

    for name in scenarios.names():
        loaded = scenarios.load(name).scenario
        typer.echo(f"{name:20} {loaded.description}")


@scenario_app.command("show")
def scenario_show(
    scenario: ScenarioName,
    changes: Changes = None,
) -> None:
    """A scenario as it would run, every default filled in (YAML).

    \b
    gatecrash scenario show smoke --set load.fans=500
    """
    from harness import scenario as scenarios
    from harness.scenario import Override

    loaded = scenarios.load(scenario, [Override.parse(change) for change in changes or []]).scenario
    typer.echo(msgspec.yaml.encode(msgspec.to_builtins(loaded, str_keys=False)).decode(), nl=False)


@scenario_app.command("check")
def scenario_check(
    scenario: ScenarioName,
    platform: PlatformClass = "",
    stack: StackName = "",
    locustfile: Locustfile = "",
    changes: Changes = None,
) -> None:
    """Validate a scenario, the experiments and the adapter it names; nothing is started, nothing is sent.

    \b
    gatecrash scenario check my-onsale.yaml
    gatecrash scenario check smoke --set load.fans=400
    gatecrash scenario check my-shop.yaml --platform my_shop.py:MyShop --stack http://127.0.0.1:8000
    """
    from harness.cli.platforms import check_adapter, require_fitting
    from harness.scenario import Override
    from harness.scenario.own_options import own_overrides

    overrides = own_overrides(scenario, platform, stack, locustfile)
    overrides += [Override.parse(change) for change in changes or []]
    source, experiments = load_planned(scenario, overrides)
    require_fitting(source, stack)
    check_adapter(source)
    loaded = source.scenario
    typer.echo(f"{loaded.name}: ok ({loaded.load.who}, {_counted(len(experiments), 'fault')}, {loaded.duration_s:g} s)")


@experiment_app.command("list")
def experiment_list() -> None:
    """The experiments that come with gatecrash.

    \b
    gatecrash experiment list
    """
    from chaos.specification import experiment as experiments
    from chaos.specification import generic

    for name in experiments.names():
        typer.echo(f"{name:28} {experiments.load(name).hypothesis}")
    typer.echo("\nOn an edge or a part of a platform of your own (platform: in a scenario):")
    for each in generic.GENERIC.values():
        figure = f", {each.needs}: …" if each.needs else ""
        typer.echo(f"{f'{each.name} {{{each.on}: …{figure}}}':28} {each.does}")


@experiment_app.command("show")
def experiment_show(
    experiment: ExperimentName,
    edge: Annotated[str, typer.Option("--edge", metavar="NAME", help="Edge that a generic experiment breaks.")] = "",
    part: Annotated[str, typer.Option("--part", metavar="NAME", help="Part that a generic experiment breaks.")] = "",
    ms: Annotated[int | None, typer.Option("--ms", metavar="N", min=1, help="Of latency.")] = None,
    percent: Annotated[
        float | None, typer.Option("--percent", metavar="N", min=0, max=100, help="Of errors and drop.")
    ] = None,
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="FILE", help="Whose edges and parts to take, instead of examples.")
    ] = "",
) -> None:
    """An experiment with every default filled in (YAML); a generic one as it is for an edge or a part.

    \b
    gatecrash experiment show redis-down
    gatecrash experiment show latency --edge payments --ms 8000
    """
    from chaos.specification import experiment as experiments
    from chaos.specification import generic

    if experiment in generic.GENERIC:
        fault = PlannedFault(experiment=experiment, start_s=0, edge=edge, part=part, ms=ms, percent=percent or None)
        shown = generic.experiment_for(fault, *_edges_and_parts(scenario, edge, part))
    else:
        shown = experiments.load(experiment)
    typer.echo(msgspec.yaml.encode(msgspec.to_builtins(shown)).decode(), nl=False)


@experiment_app.command("check")
def experiment_check(experiment: ExperimentName) -> None:
    """Validate an experiment; nothing is started.

    \b
    gatecrash experiment check my-outage.yaml
    """
    from chaos.specification import experiment as experiments

    loaded = experiments.load(experiment)
    if experiments.is_path(experiment):
        require_known_metrics(Path(experiment), loaded, own=False)
    typer.echo(
        f"{loaded.name}: ok ({_counted(len(loaded.faults), 'fault')}, "
        f"{_counted(len(loaded.expectations), 'expectation')}, "
        f"{loaded.length_s:g} s)"
    )


def _edges_and_parts(scenario: str, edge: str, part: str) -> tuple[dict[str, Edge], dict[str, Part]]:
    """The edges and parts of a scenario; without a scenario, an example for each name. Raises InputError."""
    from harness import scenario as scenarios

    if not scenario:
        edges = {edge: Edge(listen="127.0.0.1:29001", upstream="127.0.0.1:9001", probe="http")} if edge else {}
        parts = {part: Part(pid_file="web.pid", address="127.0.0.1:8000", probe="http")} if part else {}
        return edges, parts
    own = scenarios.load(scenario).scenario.platform
    if own is None:
        raise InputError("has no platform section, so no edges and no parts", file=scenario)
    return own.edges, own.parts


def _counted(count: int, one: str) -> str:
    return f"{count} {one}{'s' * (count != 1)}"
