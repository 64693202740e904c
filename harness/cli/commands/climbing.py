"""`capacity`: runs at rising rates, until it is known how much load a platform carries and what limits it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from harness.amounts import amount
from harness.cli.app import app, print_json, print_table, say, tell
from harness.cli.commands.rehearsing import recorded
from harness.cli.loading import load_planned
from harness.cli.options import DEFAULT_OUT, AllowHost, AsJson, Changes, Out, PlatformClass, Seed, StackName
from harness.cli.platforms import require_fitting
from harness.cli.verdicts import judge
from harness.errors import ExitCode, InputError, NoVerdict
from harness.scenario.file import Override

if TYPE_CHECKING:
    from harness.record.schema import RunDocument
    from harness.record.verdict import Verdict
    from harness.runs.staircase import Staircase

DEFAULT_RATES: Final = "10,20,40,80,160"
_AFTER_S: Final = 12.0  # for the last fans to buy, once nobody comes any more
_LET_IN: Final = 1.5
"""The reference system lets in so many times the fans who come: what waits is the shop, not the queue."""
_TRACED: Final = 60
"""About so many fans of each run are traced, so that the hops of a slow step are seen."""
_RATES_MAX: Final = 20
_FANS_MAX: Final = 1_000_000


@app.command(short_help="How much load a platform carries, and what limits it.")
def capacity(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="Whose fans and objectives: a name, or a file.")
    ] = "capacity",
    rates: Annotated[
        str, typer.Option("--rates", metavar="N,N,…", help="Fans per second, one run each.")
    ] = DEFAULT_RATES,
    lasting_s: Annotated[
        float,
        typer.Option("--lasting", metavar="S", min=3.0, max=3600.0, help="Seconds for which fans come, in each run."),
    ] = 15.0,
    refine: Annotated[
        int, typer.Option("--refine", metavar="N", min=0, max=10, help="Further runs to narrow the answer.")
    ] = 2,
    tickets: Annotated[
        int | None, typer.Option("--tickets", metavar="N", min=1, help="Foretell the real sale: what is on sale.")
    ] = None,
    fans: Annotated[
        int | None, typer.Option("--fans", metavar="N", min=1, help="Foretell the real sale: who will come.")
    ] = None,
    seed: Seed = None,
    stack: StackName = "",
    platform: PlatformClass = "",
    out: Out = DEFAULT_OUT,
    allow_host: AllowHost = None,
    changes: Changes = None,
    json: AsJson = False,
) -> None:
    """How many fans per second a platform carries: one run at each rate, without faults, until a run is not good.

    A rate is carried when its run meets every objective of the scenario, lets fans in as fast as they come and breaks
    no invariant. The answer lies between two rates that were tried; nothing is said about rates beyond them. Of the
    first rate that is not carried it says which process, machine, pool of connections or hop was at its limit. It
    proposes an admission rate, a hold time, sizes of pools and numbers of workers, as far as they were measured.

    \b
    gatecrash capacity
    gatecrash capacity --rates 20,40,80 --tickets 18000 --fans 200000
    gatecrash capacity my-shop.yaml --platform my_shop.py:MyShop --stack http://127.0.0.1:8000
    """
    from harness.record.writer import write_document
    from harness.runs import staircase
    from harness.runs.proposals import proposals
    from harness.scenario import load
    from harness.scenario.own_options import own_overrides

    if (tickets is None) != (fans is None):
        raise InputError("a real sale has tickets and fans", key="--tickets", hint="give --tickets N and --fans N")
    planned, told = _rates(rates, lasting_s), None
    given = own_overrides(scenario, platform, stack)
    own = load(scenario, given).scenario.platform is not None
    asked = [Override("seed", seed, f"--seed {seed}")] if seed is not None else []
    asked += map(Override.parse, changes or [])
    found, first = staircase.Staircase(steps=()), None
    folder = out / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-capacity"
    while (rate := staircase.next_rate(planned, found, refine)) is not None:
        say(f"capacity: {amount(rate, 'count')} fans per second for {lasting_s:g} s")
        overrides = [*given, *overrides_for(rate, lasting_s, own=own), *asked]
        run, verdict = _judged(scenario, overrides, folder, stack, allow_host or ())
        found = found.beside(staircase.step_of(rate, verdict))
        first = first or run
        carried = found.carried
        told = None if not (carried and tickets and fans) else staircase.forecast(carried, tickets, fans)
        write_document(folder / staircase.ANSWER_FILE, staircase.Answer.of(found, first, changes or (), told))
    proposed = tuple(proposals(found))
    if json:
        more = {"said": [*found.sentences()], "forecast": told, "proposals": proposed}
        print_json(msgspec.to_builtins(found) | msgspec.to_builtins(more))
    else:
        _show(found)
        for proposal in proposed:
            tell(f"  {proposal.said}")
        tell(f"kept in {folder / staircase.ANSWER_FILE}")
        for line in told.sentences() if told else ():
            tell(line)
    if found.has_violations:
        raise typer.Exit(ExitCode.INVARIANT_VIOLATED)
    if all(step.doubt for step in found.steps):
        raise NoVerdict(f"no run can be used: {found.steps[0].doubt}")


def _judged(
    scenario: str, overrides: Sequence[Override], folder: Path, stack: str, confirmed: Sequence[str]
) -> tuple[RunDocument, Verdict]:
    """One run, judged. Raises GatecrashError when it ended early."""
    from harness.record.reader import Record
    from harness.swarm.joining.reach import reach_of

    source, planned = load_planned(scenario, overrides)
    require_fitting(source, stack)
    reach = reach_of("127.0.0.1", 0, web=False)
    paths, ended = recorded(source, planned, folder, reach, confirmed, stack)
    if ended is not None:
        raise ended
    verdict = judge(paths.root)
    return Record.documents(paths).run, verdict


def overrides_for(rate_per_s: float, lasting_s: float, *, own: bool) -> list[Override]:
    """What a run at a rate changes in a scenario: fans who come evenly, no fault, and a door as wide as they need.

    `own`: on a platform of the user's own, which lets in as it does.
    """
    fans = max(2, round(rate_per_s * lasting_s))
    values: dict[str, object] = {
        "faults": [],
        "duration_s": lasting_s + _AFTER_S,
        "load.fans": fans,
        "load.arrivals": {"shape": "ramp", "ramp_s": lasting_s},
    }
    if not own:
        values["on_sale.admission_rate_per_s"] = _LET_IN * rate_per_s
        values["on_sale.admission_burst"] = max(1, round(rate_per_s))
        values["load.trace_ratio"] = min(1.0, _TRACED / fans)
    return [Override(key, value, f"capacity at {rate_per_s:g}/s") for key, value in values.items()]


def _rates(text: str, lasting_s: float) -> list[float]:
    """The rates in rising order. Raises InputError."""
    hint = f"fans per second, e.g. {DEFAULT_RATES}"
    try:
        rates = sorted({float(each) for each in text.split(",")})
    except ValueError as error:
        raise InputError(f"{text!r} is no list of rates", key="--rates", hint=hint) from error
    if len(rates) > _RATES_MAX or not all(0 < rate * lasting_s <= _FANS_MAX for rate in rates):
        least = f"at most {_RATES_MAX} rates above 0, of at most {_FANS_MAX:,} fans each"
        raise InputError(f"{text!r} cannot be climbed", key="--rates", hint=least)
    return rates


def _show(found: Staircase) -> None:
    header = ("fans per second", "let in", "verdict", "carried", "busiest", "why not", "run")
    rows = (
        (
            amount(step.rate_per_s, "count"),
            "–" if step.let_in_per_s is None else amount(step.let_in_per_s, "per_s"),
            step.verdict.value,
            "–" if step.doubt else "yes" if step.carried else "no",
            step.busiest or "–",
            "; ".join(step.why_not) or step.doubt or "–",
            step.run_id,
        )
        for step in found.steps
    )
    print_table(header, rows)
    for line in found.sentences():
        tell(line)
