"""Whose the seats were: the scenario `bot-raid` with every control on, with each one off, and with all off.

`python -m tests.bench.bots` rehearses it six times, writes bench-results/bots.json, and puts the table into
docs/bots.md. The figures are counts of seats, not times.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from harness import scenario as scenarios
from harness.audit.history import Evidence
from harness.record.reader import Record
from harness.record.schema import BOT_ACTOR
from harness.scenario import Load, Tactic
from harness.sli import INDICATORS
from harness.sli.measured import Observations
from harness.swarm.users.plan import bot_plan
from tests.bench import rounds

DOCUMENT = Path(__file__).parents[2] / "docs" / "bots.md"
TABLE = re.compile(r"(<!-- table:bots -->\n).*?(<!-- /table -->)", re.S)
FANS = "fans"
CONTROLS = {
    "proof of work": ("--set", "on_sale.challenge=none"),
    "device limit": ("--set", "on_sale.joins_per_device=0"),
    "purchase limit": ("--set", "on_sale.purchase_limit=0"),
    "signature of tickets": ("--plant-bug", "unsigned_ticket"),
}
ROWS = {
    "none": (),
    **CONTROLS,
    "all four": tuple(argument for arguments in CONTROLS.values() for argument in arguments),
}


def rehearse(out: Path, *arguments: str) -> Path:
    """The run directory of one raid. Raises `CalledProcessError` when it came to no verdict."""
    command = [sys.executable, "-m", "harness", "rehearse", "bot-raid", "--out", str(out), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=300, check=False)
    if done.returncode not in (0, 1, 4):  # a share that is too large is not READY; a planted bug breaks an invariant
        done.check_returncode()
    [run] = out.iterdir()
    return run


def seats_by_kind(run: Path) -> Counter[str]:
    """How many confirmed seats fans, and the bots of each tactic, were told of."""
    record = Record.open(run)
    load = msgspec.convert(record.run.scenario["load"], Load, strict=False)
    evidence = Evidence(record)
    told = [(pay.actor, pay.value.seats) for pay in evidence.pays if pay.value.state == "confirmed"]
    told += [(look.actor, look.value.seats) for look in evidence.lookups if look.value.state == "confirmed"]
    each = {(actor, seat) for actor, seats in told for seat in seats}
    return Counter(_kind(actor, load, record.run.seed) for actor, _ in each)


def _kind(actor: str, load: Load, seed: int) -> str:
    if not actor.startswith(BOT_ACTOR):
        return FANS
    return bot_plan(load, seed, int(actor.removeprefix(BOT_ACTOR))).tactic.value


def share(run: Path) -> float:
    """The indicator of the run."""
    value = INDICATORS["bot_share_of_seats"].measure(Observations(Record.open(run))).value
    assert value is not None, "no bots came"
    return value


def raid(arguments: tuple[str, ...]) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="gatecrash-bots-") as out:
        run = rehearse(Path(out) / "runs", *arguments)
        return {"share": share(run), "seats": dict(seats_by_kind(run))}


def who_came() -> Counter[str]:
    """How many fans, and bots of each tactic, the scenario sends."""
    scenario = scenarios.load("bot-raid").scenario
    load, seed = scenario.load, scenario.seed
    return Counter({FANS: load.fans}) + Counter(bot_plan(load, seed, n).tactic.value for n in range(load.bots))


def table(figures: dict[str, dict[str, object]]) -> str:
    """The table of docs/bots.md."""
    came = who_came()
    kinds = [FANS, *(tactic.value for tactic in Tactic if came[tactic.value])]
    lines = [
        f"| Turned off | Bots' share of the seats | {' | '.join(kind.replace('_', ' ') for kind in kinds)} |",
        f"|---|---|{'---|' * len(kinds)}",
    ]
    lines.append(f"| *(who came)* | | {' | '.join(f'*{came[kind]}*' for kind in kinds)} |")
    for name, row in figures.items():
        seats = row["seats"]
        assert isinstance(seats, dict)
        lines.append(f"| {name} | {row['share']:.0%} | {' | '.join(str(seats.get(kind, 0)) for kind in kinds)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    figures = {}
    for name, arguments in ROWS.items():
        figures[name] = raid(arguments)
        print(json.dumps({name: figures[name]}), file=sys.stderr)
    rounds.write("bots", {"turned_off": figures})
    text = DOCUMENT.read_text(encoding="utf-8")
    assert TABLE.search(text), f"{DOCUMENT} has no place for the table"
    DOCUMENT.write_text(TABLE.sub(lambda found: found[1] + table(figures) + found[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
