"""`scenario` and `experiment`: what there is to run, listed, shown and checked."""

from __future__ import annotations

import msgspec
import typer

from harness.cli.app import experiment_app, scenario_app
from harness.cli.loading import load_planned
from harness.cli.options import Changes, ExperimentName, ScenarioName


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
def scenario_check(scenario: ScenarioName) -> None:
    """Validate a scenario and the experiments it names; nothing is started.

    \b
    gatecrash scenario check my-onsale.yaml
    """
    source, experiments = load_planned(scenario, [])
    loaded = source.scenario
    typer.echo(f"{loaded.name}: ok ({loaded.load.who}, {_counted(len(experiments), 'fault')}, {loaded.duration_s:g} s)")


@experiment_app.command("list")
def experiment_list() -> None:
    """The experiments that come with gatecrash.

    \b
    gatecrash experiment list
    """
    from chaos.specification import experiment as experiments

    for name in experiments.names():
        typer.echo(f"{name:24} {experiments.load(name).hypothesis}")


@experiment_app.command("show")
def experiment_show(experiment: ExperimentName) -> None:
    """An experiment with every default filled in (YAML).

    \b
    gatecrash experiment show redis-down
    """
    from chaos.specification import experiment as experiments

    typer.echo(msgspec.yaml.encode(msgspec.to_builtins(experiments.load(experiment))).decode(), nl=False)


@experiment_app.command("check")
def experiment_check(experiment: ExperimentName) -> None:
    """Validate an experiment; nothing is started.

    \b
    gatecrash experiment check my-outage.yaml
    """
    from chaos.specification import experiment as experiments

    loaded = experiments.load(experiment)
    typer.echo(
        f"{loaded.name}: ok ({_counted(len(loaded.faults), 'fault')}, "
        f"{_counted(len(loaded.expectations), 'expectation')}, "
        f"{loaded.length_s:g} s)"
    )


def _counted(count: int, one: str) -> str:
    return f"{count} {one}{'s' * (count != 1)}"
