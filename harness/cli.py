"""gatecrash on the command line: the composition root, the only module that sees chaos and reports.

Progress and messages go to stderr, answers to stdout. Every error becomes one line and the exit code it carries.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, get_args

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from chaos.commands import chaos_app, heal_orphans
from harness.errors import ExitCode, GatecrashError, InputError, NoVerdict
from harness.signals import stoppable

if TYPE_CHECKING:
    from chaos.timeline import Planned
    from harness.paired.halves import Half
    from harness.record.paths import RunPaths
    from harness.record.reader import Record
    from harness.record.verdict import Paired, Verdict
    from harness.scenario import Override, Scenario, ScenarioFile
    from harness.stack import Addresses
    from harness.swarm.protocol import Reach

Grade = Literal["A", "B", "C", "D", "F"]
_DEFAULT_OUT = Path("runs")

app = typer.Typer(
    name="gatecrash",
    help="Rehearse a ticket on-sale before the fans do.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
scenario_app = typer.Typer(
    help="Who comes and what they do: list, show, check.", no_args_is_help=True, rich_markup_mode=None
)
experiment_app = typer.Typer(
    help="What is broken, and what is expected then: list, show, check.", no_args_is_help=True, rich_markup_mode=None
)
target_app = typer.Typer(help="The reference booking system.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(scenario_app, name="scenario")
app.add_typer(experiment_app, name="experiment")
app.add_typer(target_app, name="target")
app.add_typer(chaos_app, name="chaos")

MinGrade = Annotated[str | None, typer.Option("--min-grade", metavar="A|B|C|D|F", help="Below this grade: NOT READY.")]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a scenario value.")]
StackName = Annotated[str, typer.Option("--stack", metavar="embedded|compose", help="Where the platform runs.")]
Bug = Annotated[str, typer.Option("--plant-bug", metavar="NAME", help="Break the reference system on purpose.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
AllowHost = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="HOST", help="Confirm a host of the scenario's allow_hosts; may be repeated."),
]
PairedRun = Annotated[
    bool, typer.Option("--paired", help="Run it twice, first without the faults, and tell what the faults did.")
]
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, e.g. runs/20261123-101500-smoke-1a2b.")]


def main() -> NoReturn:
    """The entry point: run a command, turn what it raises into one line and an exit code."""
    try:
        with stoppable():
            _heal_orphans()
            code = app(prog_name="gatecrash", standalone_mode=False)
    except GatecrashError as error:
        _fail(str(error))
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted")
        sys.exit(ExitCode.INTERRUPTED)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except typer.TyperException as error:
        text = error.format_message()
        _say(text) if text.startswith("Usage:") else _fail(f"{text} (see gatecrash --help)")
        sys.exit(ExitCode.BAD_INPUT)
    sys.exit(code or 0)


@app.command()
def rehearse(
    scenario: Annotated[str, typer.Argument(help="A name from `scenario list`, or a file.")] = "playoff-presale",
    users: Annotated[int | None, typer.Option("--users", metavar="N", help="Fans, instead of the scenario's.")] = None,
    spectators: Annotated[int | None, typer.Option("--spectators", metavar="N", help="Spectators likewise.")] = None,
    bots: Annotated[int | None, typer.Option("--bots", metavar="N", help="Bots likewise.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Same seed, same journeys.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", help="Load generator processes.")] = None,
    remote_workers: Annotated[
        int, typer.Option("--remote-workers", metavar="N", min=0, help="And so many of `gatecrash worker`.")
    ] = 0,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST[:PORT]", help="Where those find this rehearsal.")
    ] = "127.0.0.1",
    web: Annotated[bool, typer.Option("--web", help="Show Locust's own pages during the run.")] = False,
    stack: StackName = "embedded",
    chaos: Annotated[bool, typer.Option("--chaos/--no-chaos", help="With or without the scenario's faults.")] = True,
    random_faults: Annotated[
        int,
        typer.Option("--random-faults", metavar="N", min=0, help="N faults drawn from the seed, instead of its own."),
    ] = 0,
    paired: PairedRun = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where run directories are made.")] = _DEFAULT_OUT,
    min_grade: MinGrade = None,
    allow_host: AllowHost = None,
    changes: Changes = None,
    plant_bug: Annotated[
        str, typer.Option("--plant-bug", metavar="NAME", help="Break the reference system on purpose.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Rehearse an on-sale: raise the stack, release everyone at once, break things, audit, grade, report.

    \b
    gatecrash rehearse
    gatecrash rehearse smoke --seed 7 --min-grade B
    gatecrash rehearse my-onsale.yaml --users 2000 --set on_sale.hold_ttl_s=12
    gatecrash rehearse smoke --paired
    """
    from harness.paired.halves import require_pairable
    from harness.stack.choice import require_stack
    from harness.stack.planted_bugs import require_bug
    from harness.swarm.reach import reach_of

    require_stack(stack)
    require_bug(plant_bug, "--plant-bug")
    overrides = _overrides(changes or [], users, spectators, bots, seed, workers, min_grade, chaos)
    if random_faults:
        overrides.append(_random_faults(scenario, overrides, random_faults, stack))
    source, experiments = _load(scenario, overrides)
    if paired:
        require_pairable(source.scenario, remote_workers)
    paths = _record(
        source.scenario,
        experiments,
        out,
        plant_bug,
        reach_of(listen, remote_workers, web=web, stack=stack),
        allow_host or (),
        stack,
        paired=paired,
    )
    verdict = judge(paths.root)
    _answer(verdict, paths, json=json)
    raise typer.Exit(_exit_code(verdict))


@app.command()
def drill(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="A name from `experiment list`, or a file.")],
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Same seed, same journeys.")] = None,
    paired: PairedRun = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where run directories are made.")] = _DEFAULT_OUT,
    min_grade: MinGrade = None,
    allow_host: AllowHost = None,
    changes: Changes = None,
    stack: StackName = "embedded",
    plant_bug: Bug = "",
    json: AsJson = False,
) -> None:
    """One experiment alone, under a small steady load: steady state, fault, heal, recovery, verdict.

    \b
    gatecrash drill redis-hang
    gatecrash drill my-outage.yaml --set on_sale.holds=watch
    """
    from chaos import experiment as experiments
    from harness.drill import overrides_for
    from harness.paired.halves import require_pairable
    from harness.stack.choice import require_stack
    from harness.stack.planted_bugs import require_bug
    from harness.swarm.reach import reach_of

    require_stack(stack)
    require_bug(plant_bug, "--plant-bug")
    given = _overrides(changes or [], None, None, None, seed, None, min_grade, chaos=True)
    overrides = [*overrides_for(experiment, experiments.load(experiment).length_s), *given]
    source, planned = _load("drill", overrides)
    if paired:
        require_pairable(source.scenario)
    reach = reach_of("127.0.0.1", 0, web=False)
    paths = _record(source.scenario, planned, out, plant_bug, reach, allow_host or (), stack, paired=paired)
    verdict = judge(paths.root)
    _answer(verdict, paths, json=json)
    raise typer.Exit(_exit_code(verdict))


@app.command()
def gate(run: RunDir, min_grade: MinGrade = None, json: AsJson = False) -> None:
    """The exit code of a finished run: 0 READY, 1 NOT READY, 3 NO VERDICT, 4 an invariant was violated.

    \b
    gatecrash gate runs/20261123-101500-smoke-1a2b --min-grade B
    """
    from harness import gate as gates

    decided = gates.decide(run, _grade(min_grade))
    if json:
        typer.echo(msgspec.json.encode(decided).decode())
    else:
        typer.echo(f"{decided.verdict}: {decided.reason}")
    raise typer.Exit(decided.exit_code)


@app.command()
def report(run: RunDir, json: AsJson = False) -> None:
    """Audit, grade and render a record again; nothing is run.

    \b
    gatecrash report runs/20261123-101500-smoke-1a2b
    """
    from harness.record.paths import RunPaths

    verdict = judge(run)
    _answer(verdict, RunPaths(root=run), json=json)
    raise typer.Exit(_exit_code(verdict))


@app.command()
def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The run that is compared with.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run that is looked at.")],
    json: AsJson = False,
) -> None:
    """What differs between two finished runs: by indicator, and by phase of each fault of RUN, with 95 % intervals.

    \b
    gatecrash compare runs/20261123-101500-smoke-1a2b runs/20261123-111500-smoke-3c4d
    """
    from harness import paired
    from harness.gate import read_verdict
    from harness.record.paths import RunPaths
    from harness.record.reader import Record

    verdicts = [read_verdict(RunPaths(root=path)) for path in (base, run)]
    records = [Record.open(path) for path in (base, run)]
    found = paired.compare(
        records[0], verdicts[0], records[1], verdicts[1], str(base), order="two records", names=("base", "run")
    )
    if found.left_out:
        raise NoVerdict(f"there is nothing to compare: {found.left_out}")
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _show_comparison(found)


@app.command()
def worker(
    master: Annotated[str, typer.Option("--master", metavar="HOST[:PORT]", help="Where the rehearsal runs.")],
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, help="Processes; one per core.")] = 1,
    wait_s: Annotated[float, typer.Option("--wait", metavar="S", min=0, help="How long to knock.")] = 60.0,
    scenario: Annotated[str, typer.Option("--scenario", help="Only join this one.")] = "",
    changes: Changes = None,
) -> None:
    """Join a rehearsal that another machine runs with --remote-workers, and work until it ends.

    \b
    gatecrash worker --master 10.0.0.5 --workers 4
    """
    from harness.swarm.join import Master, join
    from harness.swarm.reach import expected_digest

    digest = expected_digest(scenario, changes or [])
    raise typer.Exit(join(Master.parse(master), workers, digest, wait_s, _say))


@app.command()
def plan(
    users: Annotated[int, typer.Option("--users", metavar="N", min=1, help="Fans in all.")],
    window_s: Annotated[float, typer.Option("--window", metavar="S", min=0.1, help="All arrive within it.")],
    json: AsJson = False,
) -> None:
    """Measure this machine for a few seconds; say how many workers and machines like it a load takes, and why.

    \b
    gatecrash plan --users 200000 --window 30
    """
    from harness import capacity

    _say("calibrating one core of this machine …")
    sizing = capacity.size(users, window_s, capacity.calibrate(), capacity.this_machine())
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(sizing), indent=2).decode())
    else:
        typer.echo("\n".join(capacity.in_words(sizing)))


@app.command()
def doctor(json: AsJson = False) -> None:
    """What this machine can do for a rehearsal, and how to mend what is missing."""
    from harness.doctor import examine

    checks = examine()
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(checks), indent=2).decode())
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("check", "status", "found", "mend"):
            table.add_column(column, overflow="fold")
        for check in checks:
            table.add_row(check.name, check.status, check.found, check.mend)
        Console().print(table)
    missing = any(check.status == "missing" for check in checks)
    raise typer.Exit(ExitCode.BAD_INPUT if missing else ExitCode.READY)


@target_app.command("up")
def target_up(
    scenario: Annotated[str, typer.Option("--scenario", help="Whose on_sale settings to use.")] = "playoff-presale",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the booking API; 0 takes a free one.")] = 0,
    logs: Annotated[Path, typer.Option("--logs", metavar="DIR", help="Where the processes write their logs.")] = Path(
        "runs/target-logs"
    ),
    stack: StackName = "embedded",
    plant_bug: Annotated[str, typer.Option("--plant-bug", metavar="NAME", help="Break it on purpose.")] = "",
    json: AsJson = False,
) -> None:
    """Raise the reference booking system in the foreground and print its addresses; Ctrl-C takes it down.

    \b
    gatecrash target up --port 8000
    """
    from harness import scenario as scenarios
    from harness.stack import workspace
    from harness.stack.choice import stack_of
    from harness.stack.planted_bugs import require_bug

    require_bug(plant_bug, "--plant-bug")
    on_sale = scenarios.load(scenario).scenario.on_sale
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise workspace.disk_problem(logs, error) from error
    with stack_of(stack, on_sale, logs, bug=plant_bug, booking_port=port, announce=_say) as raised:
        _print_addresses(raised.addresses, as_json=json)
        while not (deaths := raised.deaths()):
            threading.Event().wait(0.5)
    raise GatecrashError("; ".join(death.text for death in deaths), hint=f"see {logs}")


@target_app.command("bugs")
def target_bugs(json: AsJson = False) -> None:
    """The bugs that can be planted in the reference system, and the invariant that each breaks.

    \b
    gatecrash target bugs
    gatecrash rehearse smoke --plant-bug lost_ack
    """
    from harness.stack.planted_bugs import planted_bugs

    bugs = planted_bugs()
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(bugs), indent=2).decode())
        return
    table = Table(box=None, pad_edge=False)
    for column in ("bug", "breaks", "what it does"):
        table.add_column(column, overflow="fold")
    for bug in bugs:
        table.add_row(bug.name, bug.breaks, bug.description)
    Console().print(table)


@app.command()
def toxiproxy(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address of the HTTP API.")] = "localhost",
    port: Annotated[int, typer.Option("--port", metavar="N", help="Port of the HTTP API.", max=65535)] = 8474,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="JSON array of proxies.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Repeatable toxicity, jitter, drops.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Only what Toxiproxy has, no extension.")] = False,
    proxy_metrics: Annotated[bool, typer.Option("--proxy-metrics", help="/metrics in strict mode too.")] = False,
) -> None:
    """Run the Toxiproxy-compatible fault proxy alone; Ctrl-C ends it.

    \b
    gatecrash toxiproxy --port 8474 --config proxies.json
    """
    from chaos.proxy.server import ServerSettings, serve

    _say(f"fault proxy at http://{host}:{port}; Ctrl-C ends it")
    serve(ServerSettings(host=host, port=port, config=config, seed=seed, strict=strict, proxy_metrics=proxy_metrics))


@app.command()
def selftest(
    bugs: Annotated[
        list[str] | None, typer.Option("--bug", metavar="NAME", help="Only this planted bug; may be repeated.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=0, help="Only N of the bugs, drawn at random.")
    ] = None,
    clean: Annotated[int, typer.Option("--clean", metavar="N", min=0, help="Clean runs, each with its own seed.")] = 3,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the runs; clean ones count up.")] = 41,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Runs at the same time.")] = 1,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the runs are kept.")] = _DEFAULT_OUT,
    json: AsJson = False,
) -> None:
    """Show that the audit sees: each planted bug must be caught, and the clean system must raise no alarm.

    \b
    gatecrash selftest
    gatecrash selftest --bug lost_ack --clean 0
    """
    from harness.selftest import command

    result = command.run(bugs or [], sample=sample, clean=clean, seed=seed, jobs=jobs, out=out, say=_say)
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    else:
        command.show(result, Console())
    raise typer.Exit(result.exit_code)


@scenario_app.command("list")
def scenario_list() -> None:
    """The scenarios that come with gatecrash."""
    from harness import scenario as scenarios

    for name in scenarios.names():
        loaded = scenarios.load(name).scenario
        typer.echo(f"{name:20} {loaded.description}")


@scenario_app.command("show")
def scenario_show(
    scenario: str,
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
def scenario_check(scenario: str) -> None:
    """Validate a scenario and the experiments it names; nothing is started.

    \b
    gatecrash scenario check my-onsale.yaml
    """
    source, experiments = _load(scenario, [])
    loaded = source.scenario
    typer.echo(f"{loaded.name}: ok ({loaded.load.who}, {len(experiments)} faults, {loaded.duration_s:g} s)")


@experiment_app.command("list")
def experiment_list() -> None:
    """The experiments that come with gatecrash."""
    from chaos import experiment as experiments

    for name in experiments.names():
        typer.echo(f"{name:24} {experiments.load(name).hypothesis}")


@experiment_app.command("show")
def experiment_show(experiment: str) -> None:
    """An experiment with every default filled in (YAML).

    \b
    gatecrash experiment show redis-down
    """
    from chaos import experiment as experiments

    typer.echo(msgspec.yaml.encode(msgspec.to_builtins(experiments.load(experiment))).decode(), nl=False)


@experiment_app.command("check")
def experiment_check(experiment: str) -> None:
    """Validate an experiment; nothing is started.

    \b
    gatecrash experiment check my-outage.yaml
    """
    from chaos import experiment as experiments

    loaded = experiments.load(experiment)
    typer.echo(
        f"{loaded.name}: ok ({len(loaded.faults)} faults, {len(loaded.expectations)} expectations, "
        f"{loaded.length_s:g} s)"
    )


def judge(run: Path) -> Verdict:
    """Audit, measure, grade and render the record in `run`. Raises InputError when it cannot be trusted."""
    from chaos import expectations
    from harness.audit import audit
    from harness.grade import grade
    from harness.record.reader import Record
    from harness.sli import measure
    from harness.sli.examinations import examine
    from reports import write

    record = Record.open(run)
    verdict = grade(record, measure(record), audit(record), expectations.judge(record), examine(record))
    control, verdict = _against_control(record, verdict)
    write(record, verdict, control)
    return verdict


def _against_control(record: Record, verdict: Verdict) -> tuple[Record | None, Verdict]:
    """Of a paired run: its control, judged and reported too, and the verdict with the comparison."""
    from harness.paired import added, compare, is_paired, left_out
    from harness.record.reader import Record

    if not is_paired(record):
        return None, verdict
    paths = record.paths.control
    try:
        alone = judge(paths.root)
        control = Record.open(paths.root)
        paired = compare(control, alone, record, verdict, paths.root.name)
    except GatecrashError as error:
        return None, added(verdict, left_out(paths.root.name, str(error)), {})
    return control, added(verdict, paired, control.digest())


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
    from harness.scenario import Override

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
    from chaos import experiment as experiments
    from chaos import soak
    from harness import scenario as scenarios
    from harness.scenario import Override

    loaded = scenarios.load(name, overrides).scenario
    drawn = soak.draw(loaded.seed, experiments.shipped(containers=stack == "compose"), count, loaded.duration_s)
    return Override("faults", msgspec.to_builtins(drawn), f"--random-faults {count}")


def _load(name: str, overrides: Sequence[Override]) -> tuple[ScenarioFile, tuple[Planned, ...]]:
    """A scenario with the experiments it names, checked against each other. Raises InputError."""
    from chaos import experiment as experiments
    from chaos import timeline
    from harness import scenario as scenarios

    source = scenarios.load(name, overrides)
    planned = []
    for at, fault in enumerate(source.scenario.faults):
        try:
            loaded = experiments.load(fault.experiment)
        except InputError as error:
            if error.file is not None:  # the fault is in the experiment's own file, which the error names
                raise
            raise source.error(error.message, "faults", at, "experiment", hint=error.hint) from error
        planned.append(timeline.Planned(loaded, fault.start_s, fault.length_s))
    timeline.schedule(planned, source.scenario.duration_s)
    return source, tuple(planned)


def _record(
    scenario: Scenario,
    experiments: Sequence[Planned],
    out: Path,
    plant_bug: str,
    reach: Reach,
    confirmed: Sequence[str] = (),
    stack: str = "embedded",
    *,
    paired: bool = False,
) -> RunPaths:
    """Carry the rehearsal out, or both halves of a paired one; returns the run directory."""
    from datetime import UTC, datetime

    from chaos import state
    from chaos.conductor import Conductor
    from harness import live, versions
    from harness.allowed import require_allowed
    from harness.paired.halves import Half, run_both
    from harness.record.writer import create_run
    from harness.rehearsal import Plan, rehearse
    from harness.selftest import memory
    from harness.stack.choice import stack_of
    from harness.stack.fault_proxy import from_environment

    state.require_not_stopped()
    scenario = _named(scenario, experiments)
    require_allowed([from_environment()] if ":" in from_environment() else [], scenario.allow_hosts, confirmed)
    console = Console(stderr=True)
    found = versions.collect()
    last = memory.recall(memory.version_of(found))
    plan = Plan(
        scenario=scenario,
        command=tuple(sys.argv),
        versions=found,
        selftest=last,
        reach=reach,
        confirmed_hosts=tuple(confirmed),
    )

    def carry_out(into: RunPaths, half: Half | None = None) -> None:
        alone = half is Half.CONTROL
        asked = msgspec.structs.replace(plan, scenario=msgspec.structs.replace(scenario, faults=())) if alone else plan
        breaks = () if alone else experiments
        with live.observer(console, scenario.duration_s, half or "") as observer:
            traced = scenario.load.trace_ratio > 0
            raised = stack_of(
                stack,
                scenario.on_sale,
                into.logs,
                bug=plant_bug,
                traced=traced,
                seed=scenario.seed,
                listen=reach.listen,
                announce=observer.note,
            )
            rehearse(asked, into, raised, lambda where, run: Conductor(breaks, where, run.faults, raised), observer)
            if not alone:
                observer.phase("judge", "audit, indicators, grade, report")

    paths = create_run(out, scenario.name, datetime.now(UTC))
    run_both(paths, carry_out, _say) if paired else carry_out(paths)
    return paths


def _named(scenario: Scenario, experiments: Sequence[Planned]) -> Scenario:
    """Its faults by the names of their experiments, as every judge knows them, where it gives files."""
    pairs = zip(scenario.faults, experiments, strict=True)
    faults = tuple(msgspec.structs.replace(fault, experiment=plan.experiment.name) for fault, plan in pairs)
    return msgspec.structs.replace(scenario, faults=faults)


def _answer(verdict: Verdict, paths: RunPaths, *, json: bool) -> None:
    if json:
        typer.echo(paths.verdict.read_text(), nl=False)
        return
    from harness.counter_example import counter_examples
    from harness.paired import in_words

    grade = (
        "" if verdict.grade is None or verdict.score is None else f"  grade {verdict.grade} ({verdict.score:.0f}/100)"
    )
    typer.echo(f"{verdict.verdict}{grade}")
    typer.echo(verdict.reason)
    for finding in verdict.findings[:3]:
        typer.echo(f"  {finding.severity}: {finding.title}")
    for line in counter_examples(verdict.invariants):
        typer.echo(line)
    if verdict.paired is not None:
        for line in in_words(verdict.paired):
            typer.echo(line)
    typer.echo(f"report: {paths.report_html}")


def _show_comparison(found: Paired) -> None:
    from reports.compare import rows

    table = Table(box=None, pad_edge=False)
    for column in ("when", "what", "base", "run", "difference", "95 % interval", "effect"):
        table.add_column(column, overflow="fold")
    for row in rows(found):
        table.add_row(row.when, row.title, row.base, row.run, row.difference, row.interval, row.effect)
    Console().print(table)
    for caution in found.cautions:
        typer.echo(f"caution: {caution}")


def _heal_orphans() -> None:
    """What a run left in force that was killed with its reaper. Trouble with it keeps no command from its work."""
    if sys.argv[1:2] == ["chaos"]:  # it says and does so itself
        return
    try:
        for line in heal_orphans():
            _say(line)
    except GatecrashError as error:
        _fail(f"{error}; see `gatecrash chaos status`")


def _exit_code(verdict: Verdict) -> ExitCode:
    from harness.grade import exit_code

    return exit_code(verdict)


def _grade(text: str | None) -> str | None:
    if text is None or text in get_args(Grade):
        return text
    raise InputError(f"{text!r} is no grade", key="--min-grade", hint="one of A, B, C, D, F")


def _print_addresses(addresses: Addresses, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(addresses).decode())
        return
    typer.echo(f"booking      {addresses.booking}   queue page: {addresses.booking}/queue/{addresses.event}")
    for feed in addresses.feeds:
        typer.echo(f"feed         {feed}/feed/{addresses.event}")
    typer.echo(f"operator     {addresses.admin}   Authorization: Bearer {addresses.admin_token}")
    typer.echo(f"payments     {addresses.ledger}")
    typer.echo(f"fault proxy  {addresses.toxiproxy}")
    typer.echo("Ctrl-C takes everything down.")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(text: str) -> None:
    _say(f"gatecrash: {text}")
