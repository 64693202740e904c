"""`rehearse` and `drill`: the commands that run something and judge it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
import typer
from rich.console import Console

from harness.cli.app import app, say
from harness.cli.loading import load_planned
from harness.cli.options import (
    DEFAULT_OUT,
    AllowHost,
    AsJson,
    Changes,
    ExperimentName,
    Locustfile,
    MinGrade,
    Out,
    PairedRun,
    PlantBug,
    PlatformClass,
    ScenarioName,
    Seed,
    StackName,
)
from harness.cli.platforms import DEFAULT_STACK, file_versions, require_fitting, require_ready
from harness.cli.runbook import RunbookObserver, require_person
from harness.cli.verdicts import conclude
from harness.errors import GatecrashError, InputError, Interrupted
from harness.scenario.file import Override

STEADY_S: Final = 6.0
"""How long business is as usual before the fault."""
RECOVERY_S: Final = 14.0
"""How long it is watched after the heal: the longest time that a shipped experiment gives a platform to recover."""
_FANS_PER_S: Final = 8
_LAST_ARRIVAL_BEFORE_END_S: Final = 4.0


def overrides_for(experiment: str, length_s: float) -> list[Override]:
    """The overrides that make a drill of an experiment: its fault, a length, and fans who keep coming until the end."""
    duration_s = STEADY_S + length_s + RECOVERY_S
    ramp_s = duration_s - _LAST_ARRIVAL_BEFORE_END_S
    values: dict[str, object] = {
        "faults": [{"experiment": experiment, "start_s": STEADY_S, "length_s": length_s}],
        "duration_s": duration_s,
        "load.fans": round(_FANS_PER_S * ramp_s),
        "load.arrivals": {"shape": "ramp", "ramp_s": ramp_s},
    }
    return [Override(key, value, f"drill {experiment}") for key, value in values.items()]


if TYPE_CHECKING:
    from chaos.injection.conductor import Conductor
    from chaos.specification.timeline import Planned
    from harness.cli.live import LiveObserver, PlainObserver
    from harness.paired.halves import Half
    from harness.record.paths import RunPaths
    from harness.scenario import Scenario, ScenarioFile
    from harness.stack import Addresses
    from harness.stack.choice import AnyStack
    from harness.stack.own import OwnStack
    from harness.swarm.messaging.protocol import Reach

    AnyObserver: TypeAlias = PlainObserver | LiveObserver


@app.command(short_help="Run a rehearsal: load, faults, audit, report.")
def rehearse(
    scenario: ScenarioName = "playoff-presale",
    users: Annotated[int | None, typer.Option("--users", metavar="N", help="Fans, instead of the scenario's.")] = None,
    spectators: Annotated[
        int | None, typer.Option("--spectators", metavar="N", help="Spectators, instead of the scenario's.")
    ] = None,
    bots: Annotated[int | None, typer.Option("--bots", metavar="N", help="Bots, instead of the scenario's.")] = None,
    seed: Seed = None,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", help="Load generator processes.")] = None,
    remote_workers: Annotated[
        int,
        typer.Option(
            "--remote-workers", metavar="N", min=0, max=1_000_000, help="Processes of `gatecrash worker` to wait for."
        ),
    ] = 0,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST[:PORT]", help="Address at which they find this rehearsal.")
    ] = "127.0.0.1",
    web: Annotated[bool, typer.Option("--web", help="Show Locust's own pages during the run.")] = False,
    stack: StackName = "",
    platform: PlatformClass = "",
    chaos: Annotated[bool, typer.Option("--chaos/--no-chaos", help="With or without the scenario's faults.")] = True,
    random_faults: Annotated[
        int,
        typer.Option(
            "--random-faults", metavar="N", min=0, max=1_000, help="N faults drawn from the seed, instead of its own."
        ),
    ] = 0,
    locustfile: Locustfile = "",
    paired: PairedRun = False,
    out: Out = DEFAULT_OUT,
    min_grade: MinGrade = None,
    allow_host: AllowHost = None,
    changes: Changes = None,
    plant_bug: PlantBug = "",
    json: AsJson = False,
) -> None:
    """Rehearse an on-sale: raise the stack, release everyone at once, break things, audit, grade, report.

    \b
    gatecrash rehearse
    gatecrash rehearse smoke --seed 7 --min-grade B
    gatecrash rehearse my-onsale.yaml --users 2000 --set on_sale.hold_ttl_s=12
    gatecrash rehearse smoke --paired
    gatecrash rehearse my-shop.yaml --platform my_shop.py:MyShop --stack http://127.0.0.1:8000
    """
    from harness.paired.halves import require_pairable
    from harness.scenario import load
    from harness.scenario.own_options import own_overrides
    from harness.stack.reference.planted_bugs import require_bug
    from harness.swarm.joining.reach import reach_of

    require_bug(plant_bug, "--plant-bug")
    overrides = own_overrides(scenario, platform, stack, locustfile)
    overrides += _overrides(changes or [], users, spectators, bots, seed, workers, min_grade, chaos)
    alone = load(scenario, overrides)
    require_fitting(alone, stack, plant_bug=plant_bug, paired=paired, random_faults=random_faults)
    if random_faults:
        overrides.append(_random_faults(scenario, overrides, random_faults, stack))
    source, experiments = load_planned(scenario, overrides)
    if paired:
        require_pairable(source.scenario, remote_workers)
    raised = "own" if source.scenario.platform else stack or DEFAULT_STACK
    reach = reach_of(listen, remote_workers, web=web, stack=raised)
    run = recorded(source, experiments, out, reach, allow_host or (), stack, plant_bug=plant_bug, paired=paired)
    raise typer.Exit(conclude(*run, json=json))


@app.command(short_help="One experiment under a small steady load.")
def drill(
    experiment: ExperimentName,
    seed: Seed = None,
    paired: PairedRun = False,
    out: Out = DEFAULT_OUT,
    min_grade: MinGrade = None,
    allow_host: AllowHost = None,
    changes: Changes = None,
    stack: StackName = "",
    platform: PlatformClass = "",
    plant_bug: PlantBug = "",
    rehearse_runbook: Annotated[
        bool,
        typer.Option("--rehearse-runbook", help="A person heals it by its runbook, and is timed."),
    ] = False,
    within_s: Annotated[
        float, typer.Option("--within", metavar="S", min=10, max=3_600, help="How long the person has for that.")
    ] = 120.0,
    json: AsJson = False,
) -> None:
    """One experiment alone, under a small steady load: steady state, fault, heal, recovery, verdict.

    \b
    gatecrash drill redis-hang
    gatecrash drill redis-down --rehearse-runbook --within 300
    gatecrash drill my-outage.yaml --set on_sale.holds=watch
    """
    from chaos.specification import experiment as experiments
    from harness.paired.halves import require_pairable
    from harness.scenario.own_options import own_overrides
    from harness.stack.reference.planted_bugs import require_bug
    from harness.swarm.joining.reach import reach_of

    require_bug(plant_bug, "--plant-bug")
    if rehearse_runbook:
        require_person(sys.stdin)
    given = _overrides(changes or [], None, None, None, seed, None, min_grade, chaos=True)
    own = own_overrides("drill", platform, stack)
    length_s = within_s if rehearse_runbook else experiments.load(experiment).length_s
    source, planned = load_planned("drill", [*own, *overrides_for(experiment, length_s), *given])
    if rehearse_runbook:
        if paired:
            raise InputError("--rehearse-runbook and --paired exclude each other", hint="leave --paired out")
        planned = tuple(msgspec.structs.replace(one, healed_on_request=True, by_hand=True) for one in planned)
    require_fitting(source, stack, plant_bug=plant_bug, paired=paired)
    if paired:
        require_pairable(source.scenario)
    reach = reach_of("127.0.0.1", 0, web=False)
    run = recorded(source, planned, out, reach, allow_host or (), stack, plant_bug=plant_bug, paired=paired)
    raise typer.Exit(conclude(*run, json=json))


def _overrides(
    changes: Sequence[str],
    users: int | None,
    spectators: int | None,
    bots: int | None,
    seed: int | None,
    workers: int | None,
    min_grade: str | None,
    chaos: bool,
) -> list[Override]:
    options = [
        ("load.fans", users, "--users"),
        ("load.spectators", spectators, "--spectators"),
        ("load.bots", bots, "--bots"),
        ("seed", seed, "--seed"),
        ("load.workers", workers, "--workers"),
        ("minimum_grade", min_grade, "--min-grade"),
    ]
    given = [Override(key, value, f"{option} {value}") for key, value, option in options if value is not None]
    no_faults = [] if chaos else [Override("faults", [], "--no-chaos")]
    return [*map(Override.parse, changes), *given, *no_faults]


def _random_faults(name: str, overrides: Sequence[Override], count: int, stack: str) -> Override:
    """Faults drawn from the scenario's seed, in place of its own. Raises InputError when they do not fit."""
    from chaos.specification import experiment as experiments
    from chaos.specification import soak
    from harness import scenario as scenarios

    loaded = scenarios.load(name, overrides).scenario
    drawn = soak.draw(loaded.seed, experiments.shipped(containers=stack == "compose"), count, loaded.duration_s)
    return Override("faults", msgspec.to_builtins(drawn), f"--random-faults {count}")


def recorded(
    source: ScenarioFile,
    experiments: Sequence[Planned],
    out: Path,
    reach: Reach,
    confirmed: Sequence[str],
    stack: str,
    *,
    plant_bug: str = "",
    paired: bool = False,
) -> tuple[RunPaths, GatecrashError | None]:
    """Carry out the rehearsal, or both halves of a paired one: its record, and the error that ended it early.

    A run that ended early is judged by what was recorded. Raises the error where nobody was released, for then there is
    nothing to judge.
    """
    from datetime import UTC, datetime

    from chaos.lease import state
    from harness import plugins
    from harness.paired.halves import Half, run_both
    from harness.record.collecting import versions
    from harness.record.writer import create_run
    from harness.rehearsal.lifecycle import RehearsalPlan, rehearse
    from harness.selftest import memory
    from harness.stack.allowed import require_allowed
    from harness.stack.fault_proxy import from_environment

    state.require_not_stopped()
    scenario = _named(source.scenario, experiments)
    require_allowed([from_environment()] if ":" in from_environment() else [], scenario.allow_hosts, confirmed)
    _require_room(scenario, reach)
    console = Console(stderr=True)
    names = scenario.platform.names if scenario.platform else {}
    scenario = require_ready(source, scenario, confirmed)
    found = versions.collect()
    last = memory.recall(memory.version_of(found))
    found |= file_versions(source)
    plan = RehearsalPlan(
        scenario=scenario,
        command=tuple(sys.argv),
        versions=found,
        selftest=last,
        plugins=plugins.used(),
        reach=reach,
        refused_holds_s=tuple((one.start_s, one.end_s) for one in experiments if one.experiment.refuses_holds),
        confirmed_hosts=tuple(confirmed),
        platform=_adapter(source),
        journeys=scenario.journeys.beside(source.folder),
    )

    def carry_out(into: RunPaths, half: Half | None = None) -> None:
        alone = half is Half.CONTROL
        unbroken = msgspec.structs.replace(scenario, faults=())
        asked = msgspec.structs.replace(plan, scenario=unbroken, refused_holds_s=()) if alone else plan
        breaks = () if alone else experiments
        starts_s = [(fault.start_s, fault.experiment) for fault in asked.scenario.faults]
        with _observer(console, experiments, scenario.duration_s, half or "", starts_s, names) as observer:
            raised = _stack_for(source, scenario, into.logs, stack, plant_bug, reach.listen, confirmed, observer.note)
            rehearse(asked, into, raised, lambda where, run: _conductor(breaks, where, run, raised, observer), observer)
            if not alone:
                observer.phase("judge", "audit, indicators, grade, report")

    paths = create_run(out, scenario.name, datetime.now(UTC))
    ended: GatecrashError | None = None
    try:
        run_both(paths, carry_out, say) if paired else carry_out(paths)
    except KeyboardInterrupt:
        ended = Interrupted("interrupted before the verdict")
    except GatecrashError as error:
        ended = in_its_place(error, source)
    begun = [one for one in (paths, paths.control) if one.run.exists()]
    if ended is not None and (not begun or isinstance(ended, InputError)):  # nobody was released: nothing to judge
        raise ended
    return begun[0] if begun else paths, ended


def _require_room(scenario: Scenario, reach: Reach) -> None:
    """Raises GatecrashError when this machine has not what its share of the load takes. Nothing is started yet."""
    from harness.processes.machine import raise_descriptors, workers_here
    from harness.processes.source_addresses import addresses_of, require_here
    from harness.swarm.calibration import capacity

    raise_descriptors()
    load, own = scenario.load, scenario.platform
    require_here(load.source_addresses, every=not reach.remote_workers)
    machine = capacity.this_machine()
    url = own.url if own else f"http://{reach.listen}"
    addresses = len(addresses_of(load.source_addresses, (url,), load.users, machine.ports)) or 1
    machine = msgspec.structs.replace(machine, addresses=addresses)
    workers = workers_here(load.workers, load.users, reach.remote_workers)
    capacity.require_room(load, machine, workers, reach.remote_workers, carries_platform=own is None)


def _observer(
    console: Console,
    experiments: Sequence[Planned],
    duration_s: float,
    half: str,
    starts_s: Sequence[tuple[float, str]],
    names: Mapping[str, str],
) -> AnyObserver:
    """What shows the run; where a person is to heal a fault, what alerts the person too."""
    from harness.cli import live

    by_hand = next((one for one in experiments if one.by_hand), None)
    if by_hand is None:
        return live.observer(console, duration_s, half, starts_s, names)
    return RunbookObserver(duration_s, by_hand.experiment.runbook, by_hand.lasts_s)


def _conductor(
    breaks: Sequence[Planned], where: Addresses, run: RunPaths, raised: AnyStack | OwnStack, observer: AnyObserver
) -> Conductor:
    """The one that injects; it may read the platform's metrics as the scraper does."""
    conductor = _unwatched(breaks, where, run, raised)
    if isinstance(observer, RunbookObserver):
        observer.follows(conductor)
    return conductor


def _unwatched(breaks: Sequence[Planned], where: Addresses, run: RunPaths, raised: AnyStack | OwnStack) -> Conductor:
    from chaos.injection.conductor import Conductor
    from harness.scenario.environment import metrics_headers
    from harness.stack.own import trusted

    own = where.own
    if own is None:
        return Conductor(breaks, where, run.faults, raised)
    return Conductor(breaks, where, run.faults, raised, metrics_headers=metrics_headers(own), verify=trusted(own))


def in_its_place(error: GatecrashError, source: ScenarioFile) -> GatecrashError:
    """The error; one about a key of the platform section with the file and line of that key."""
    key = error.key or "" if isinstance(error, InputError) and error.file is None else ""
    return source.error(error.message, *key.split("."), hint=error.hint) if key.startswith("platform.") else error


def _adapter(source: ScenarioFile) -> str:
    """FILE:CLASS of the adapter that the scenario's users need."""
    from harness.stack.own import absolute
    from harness.swarm.messaging.protocol import DEFAULT_PLATFORM, NO_ADAPTER

    own = source.scenario.platform
    if source.scenario.journeys.locustfile:
        return NO_ADAPTER
    return DEFAULT_PLATFORM if own is None else absolute(own, source.folder).adapter


def _stack_for(
    source: ScenarioFile,
    scenario: Scenario,
    logs: Path,
    stack: str,
    plant_bug: str,
    listen: str,
    confirmed: Sequence[str],
    announce: Callable[[str], None],
) -> AnyStack | OwnStack:
    """The stack that the scenario and the command line ask for, not raised yet."""
    from harness.stack.choice import stack_of
    from harness.stack.fault_proxy import from_environment
    from harness.stack.own import OwnStack

    own = scenario.platform
    if own is None:
        return stack_of(
            stack or DEFAULT_STACK,
            scenario.on_sale,
            logs,
            bug=plant_bug,
            traced=scenario.load.traced_ratio(own_platform=False) > 0,
            seed=scenario.seed,
            listen=listen,
            visitors=scenario.load.visitors,
            announce=announce,
        )
    return OwnStack(
        own,
        source.folder,
        logs,
        named=scenario.allow_hosts,
        confirmed=confirmed,
        error=source.error,
        toxiproxy=from_environment(),
        seed=scenario.seed,
        announce=announce,
    )


def _named(scenario: Scenario, experiments: Sequence[Planned]) -> Scenario:
    """The scenario with its faults under the names of their experiments, as the judges know them, not as files."""
    pairs = zip(scenario.faults, experiments, strict=True)
    faults = tuple(msgspec.structs.replace(fault, experiment=plan.experiment.name) for fault, plan in pairs)
    return msgspec.structs.replace(scenario, faults=faults)
