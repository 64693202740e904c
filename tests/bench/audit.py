"""Judges and reports generated records of 0.1, 1 and 10 million rows: seconds and memory on one core, their growth.

    python -m tests.bench.audit [--rounds N] [--rows N …] [--followers N]

Rows are requests, events and operations together. The history is a correct on-sale on a large scale: every fan joins
and is told positions until the sale is over; a third is admitted, meets a conflict, holds, pays and looks the order up;
one spectator follows the feed, or so many do as are asked for: then most rows are events of the feed, those of all
followers mixed as they arrive. The shipped faults of a small sale were in force meanwhile, and their expectations are
judged. Each record is judged in a process of its own, in the steps of `gatecrash report`; processor time counts from
the first look at its seals, and the peak of resident memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import reports
from chaos.proof import expectations
from chaos.specification.experiment import load
from harness.audit import audit
from harness.causes import with_causes
from harness.judging.grade import grade
from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.schema import TABLES, FaultsDocument, Phase, SeatMapFacts
from harness.record.seal import RUN_ID, seal
from harness.record.verdict import Status, Verdict
from harness.record.writer import write_document
from harness.sli import measure as measured
from harness.sli.examinations import examine
from harness.sli.measured import Observations
from tests.bench.rounds import medians, pin, write
from tests.builders import RunBuilder

SIZES = (100_000, 1_000_000, 10_000_000)
STEPS = 5  # operations of an admitted fan after the join: enter, a conflict, hold, pay, look-up
PAGES = {"join": ("queue_page", "join", "positions"), "conflict": ("seat_map", "hold")}
"""The requests of an operation, where it has not one of its own name."""
ROWS_OF_A_FAN = 13
CHANGES_OF_A_FAN = 2 / 3
SALE_S = 20.0
TOLD_EVERY_S = 5.0
BATCH_FANS = 50_000
BATCH_CHANGES = 500_000
UNSHOWN = {"no_queue_bypass", "granted_as_asked", "map_honest", "refused_for_cause"}
"""Nobody tries to get past the queue, maps are not noted, and conflicts have no rival in this history."""
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """So many fans in line, of whom the first third is admitted at an even rate."""

    fans: int

    @property
    def admitted(self) -> int:
        return self.fans // 3

    @property
    def rate_per_s(self) -> float:
        return self.admitted / SALE_S

    def called_s(self, places: np.ndarray) -> np.ndarray:
        return 1.0 + places / self.rate_per_s

    def ahead(self, t_s: np.ndarray) -> np.ndarray:
        """How many have been called by then."""
        return np.clip(np.floor((t_s - 1.0) * self.rate_per_s) + 1, 0, self.admitted).astype(np.int64)


def generate(root: Path, rows: int, followers: int = 1) -> None:
    """A run directory with about so many rows, a record like any other."""
    paths = RunPaths(root=root)
    fans = int(rows / (ROWS_OF_A_FAN + (followers - 1) * CHANGES_OF_A_FAN))
    line = Line(fans)
    scenario = RunBuilder(fans=0, spectators=0)
    resolved = dict(scenario.run.scenario)
    resolved["on_sale"] = {"admission_rate_per_s": line.rate_per_s, "admission_burst": 10}
    facts = SeatMapFacts(capacity=line.admitted, epoch="e1", seq=None)
    over_s = SALE_S + 4.0
    resolved["duration_s"] = over_s
    settling = Phase(name="settle", t_start_s=over_s, t_end_s=over_s + 10.0)
    run = scenario.changed(scenario=resolved, seat_map_at_rest=facts, phases=(settling,)).run
    write_document(paths.faults, _with_expectations(scenario.faults))
    written_by = {RUN_ID: run.run_id}
    writers = {
        name: pq.ParquetWriter(paths.table(name), schema.with_metadata(written_by), compression="zstd")
        for name, schema in TABLES.items()
    }
    for first in range(0, fans, BATCH_FANS):
        for name, rows in _fans(line, np.arange(first, min(first + BATCH_FANS, fans)), over_s).items():
            writers[name].write_table(rows)
    for rows in _feed(line, followers):
        writers["events"].write_table(rows)
    for writer in writers.values():
        writer.close()
    write_document(paths.run, seal(paths, run))


def _fans(line: Line, users: np.ndarray, over_s: float) -> dict[str, pa.Table]:
    """Fans from the queue to the look at their order after settling, which begins at `over_s`."""
    everybody = [f"fan-{user:08d}" for user in users.tolist()]
    joins = [f'{{"position":{n + 1},"epoch":"e1","parked":false}}' for n in users.tolist()]
    parts = [_step("join", users, everybody, everybody, joins, users / line.fans, users)]
    positions = _positions(line, users, everybody, over_s)
    users, names = users[users < line.admitted], everybody[: int(np.count_nonzero(users < line.admitted))]
    seats = [f"{user // 400}-{user % 400 // 20}-{user % 20}" for user in users.tolist()]
    called = line.called_s(users)
    texts = {
        "enter": [f'{{"admission_no":{n + 1}}}' for n in users.tolist()],
        "conflict": [f'{{"seats":["{seat}"]}}' for seat in seats],
        "hold": [f'{{"seats":["{seat}"],"ttl_s":8.0}}' for seat in seats],
        "pay": [
            f'{{"hold_id":"hold-{n}","seats":["{seat}"],"declined_on_purpose":false,'
            f'"shown_cents":5000,"order_id":"order-{n}","amount_cents":5000,"state":"confirmed"}}'
            for n, seat in zip(users.tolist(), seats, strict=True)
        ],
        "order": [f'{{"state":"confirmed","seats":["{seat}"],"amount_cents":5000}}' for seat in seats],
    }
    keys = {
        "enter": names, "conflict": [""] * len(names), "hold": [f"hold-{n}" for n in users.tolist()],
        "pay": [f"key-{n}" for n in users.tolist()], "order": [f"order-{n}" for n in users.tolist()],
    }  # fmt: skip
    offsets = {"enter": called + 0.1, "conflict": called + 0.5, "hold": called + 0.7}
    offsets |= {"pay": called + 1.5, "order": over_s + users / line.rate_per_s}
    for at, (step, values) in enumerate(texts.items()):
        ops = line.fans + users * STEPS + at
        parts.append(_step(step, users, names, keys[step], values, offsets[step], ops))
    orders = {"order_id": keys["order"], "fan": names, "seat": seats, "state": ["confirmed"] * len(names)}
    orders |= {"amount_cents": [5000] * len(names), "idempotency_key": keys["pay"]}
    orders |= {"pool": [""] * len(names), "quantity": [1] * len(names)}
    ledger = {"charge_id": [f"c-{n}" for n in users.tolist()], "idempotency_key": keys["pay"]}
    ledger |= {"order_id": keys["order"], "entry": ["capture"] * len(names), "amount_cents": [5000] * len(names)}
    ledger |= {"card": [None] * len(names)}
    return {
        "operations": pa.concat_tables([operations for operations, _ in parts]),
        "requests": pa.concat_tables([requests for _, requests in parts]),
        "events": positions,
        "final_seats": pa.table({"seat": seats, "state": ["sold"] * len(names)}, schema=TABLES["final_seats"]),
        "final_orders": pa.table(orders, schema=TABLES["final_orders"]),
        "final_ledger": pa.table(ledger, schema=TABLES["final_ledger"]),
    }


def _step(
    step: str,
    users: np.ndarray,
    names: list[str],
    keys: list[str],
    texts: list[str],
    invoked: np.ndarray,
    ops: np.ndarray,
) -> tuple[pa.Table, pa.Table]:
    """The operations of one step, and their requests."""
    count, conflict = len(names), step == "conflict"
    columns = {
        "op": ops,
        "worker": np.zeros(count, dtype=np.int16),
        "actor": names,
        "identity": names,
        "function": ["hold" if conflict else step] * count,
        "key": keys,
        "value": texts,
        "t_intended_s": invoked,
        "t_invoke_s": invoked,
        "t_complete_s": invoked + 0.02,
        "outcome": ["fail" if conflict else "ok"] * count,
        "error": ["conflict" if conflict else ""] * count,
        "retry_of": pa.nulls(count, pa.int64()),
    }
    pages = [_requests(page, users, names, invoked, ops) for page in PAGES.get(step, (step,))]
    return pa.table(columns, schema=TABLES["operations"]), pa.concat_tables(pages)


def _requests(page: str, users: np.ndarray, names: list[str], sent: np.ndarray, ops: np.ndarray) -> pa.Table:
    count = len(names)
    columns = {
        "seq": ops,
        "worker": np.zeros(count, dtype=np.int16),
        "user": users.astype(np.int32),
        "kind": ["fan"] * count,
        "actor": names,
        "step": [page] * count,
        "page": [""] * count,
        "method": ["GET"] * count,
        "t_intended_s": sent,
        "t_start_s": sent + 0.001,
        "t_first_byte_s": sent + 0.01,
        "t_end_s": sent + 0.01 + users % 100 / 10_000,
        "status": np.full(count, 200, dtype=np.int16),
        "outcome": ["ok"] * count,
        "error": [""] * count,
        "response_bytes": np.full(count, 500),
        "attempt": np.ones(count, dtype=np.int16),
        "op": ops,
        "overstated_ms": np.full(count, 0.1),
    }
    return pa.table(columns, schema=TABLES["requests"])


def _positions(line: Line, users: np.ndarray, names: list[str], over_s: float) -> pa.Table:
    """Positions every few seconds until a fan is called, or to the end, and the calls."""
    joined, called = users / line.fans, line.called_s(users)
    until = np.where(users < line.admitted, called, over_s)
    every, rows = pa.array(names), list[pa.Table]()

    def told(event: str, who: np.ndarray, t_s: np.ndarray, value: object) -> None:
        chosen = every.take(pa.array(who)).to_pylist()
        rows.append(_events(users[who], chosen, "positions", event, t_s, value, [""] * len(who), None))

    told("connect", np.arange(len(users)), joined + 0.02, pa.nulls(len(users), pa.int64()))
    for back_s in np.arange(0.3, over_s, TOLD_EVERY_S).tolist():
        t_s = until - back_s
        who = np.flatnonzero(t_s > joined + 0.1)
        told("position", who, t_s[who], users[who] + 1 - line.ahead(t_s[who]))
    who = np.flatnonzero(users < line.admitted)
    told("admitted", who, called[who], pa.nulls(len(who), pa.int64()))
    return pa.concat_tables(rows)


def _events(
    users: np.ndarray,
    names: list[str] | pa.Array,
    stream: str,
    event: str,
    t_s: np.ndarray,
    values: object,
    keys: list[str] | pa.Array,
    seqs: np.ndarray | None,
) -> pa.Table:
    count = len(names)
    columns = {
        "worker": np.zeros(count, dtype=np.int16),
        "user": users.astype(np.int32),
        "kind": ["fan" if stream == "positions" else "spectator"] * count,
        "actor": names,
        "stream": [stream] * count,
        "event": [event] * count,
        "t_s": t_s,
        "t_sent_s": t_s - 0.01,
        "epoch": ["e1"] * count,
        "seq": pa.nulls(count, pa.int64()) if seqs is None else seqs,
        "value": values,
        "key": keys,
    }
    return pa.table(columns, schema=TABLES["events"])


def _feed(line: Line, followers: int) -> Iterator[pa.Table]:
    """Spectators who see every seat held, and then sold; their rows as they arrive, those of all mixed."""
    everybody, names = np.arange(followers), [f"spectator-{number}" for number in range(followers)]
    at_once, blank, none = np.full(followers, -1.0), [""] * followers, pa.nulls(followers, pa.int64())
    zeros = np.zeros(followers, dtype=np.int64)
    yield _events(everybody, names, "feed", "connect", at_once, none, blank, None)
    yield _events(everybody, names, "feed", "snapshot", at_once, zeros, blank, zeros)
    places = np.tile(np.arange(line.admitted), 2)
    states = np.repeat((1, 2), line.admitted)
    t_s = line.called_s(places) + np.where(states == 1, 0.73, 1.53)
    order = np.argsort(t_s, kind="stable")
    t_s, states = t_s[order], states[order]
    seats = pa.array([f"{n // 400}-{n % 400 // 20}-{n % 20}" for n in places[order].tolist()])
    at_a_time = max(1, BATCH_CHANGES // followers)
    for first in range(0, len(order), at_a_time):
        change = np.repeat(np.arange(first, min(first + at_a_time, len(order))), followers)
        who = np.tile(everybody, len(change) // followers)
        heard_s = t_s[change] + who / 10_000
        arrived = np.argsort(heard_s, kind="stable")
        change, who = change[arrived], who[arrived]
        whose, keys = pa.array(names).take(pa.array(who)), seats.take(pa.array(change))
        yield _events(who, whose, "feed", "seat", heard_s[arrived], states[change], keys, change + 1)


def _with_expectations(faults: FaultsDocument) -> FaultsDocument:
    """The faults with the shipped experiments that they are of."""
    runs = tuple(
        msgspec.structs.replace(run, definition=msgspec.to_builtins(load(run.experiment))) for run in faults.faults
    )
    return msgspec.structs.replace(faults, faults=runs)


def measure(root: Path) -> dict[str, float]:
    """One record judged and reported in this process, in the steps of `harness.cli.judge`."""
    pin(1)
    pa.set_cpu_count(1)
    figures = dict[str, float]()

    def timed(name: str, work: Callable[[], T]) -> T:
        begun_s = time.process_time()
        done = work()
        figures[f"{name}_cpu_s"] = time.process_time() - begun_s
        return done

    record = timed("open", lambda: Record.open(root))
    verdict = _judged(record, timed)  # what was read for the verdict is gone before the report, as in the command
    with tempfile.TemporaryDirectory() as folder:
        timed("report", lambda: reports.write(record, verdict, into=Path(folder)))
    sound = (Status.HELD, Status.NOT_EXERCISED)
    wrong = {result.name: result.note for result in verdict.invariants if result.status not in sound}
    if not wrong.keys() <= UNSHOWN:
        raise SystemExit(f"a correct history was not held: {wrong}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = sum(record.run.tables[name].rows for name in ("requests", "events", "operations"))
    return {"rows": rows, **figures, "cpu_s": sum(figures.values()), "peak_mb": peak_mb}


def _judged(record: Record, timed: Callable[[str, Callable[[], Any]], Any]) -> Verdict:
    seen = Observations(record)
    values = timed("measure", lambda: measured(record, seen))
    results = timed("audit", lambda: audit(record, seen.everything))
    faults = timed("expect", lambda: expectations.judge(record, lambda: seen.everything.feed))
    examined = timed("examine", lambda: examine(record, seen))
    verdict = timed("grade", lambda: grade(record, values, results, faults, examined, seen=seen))
    return timed("causes", lambda: with_causes(record, verdict, seen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--followers", type=int, default=1, help="spectators who follow the feed")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(measure(Path(asked.side))))
        return
    points = {}
    for size in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), size, asked.followers)
            rounds = [_one(folder) for _ in range(asked.rounds)]
        points[f"{size}"] = medians(rounds)
        print(f"{size:>12,}: {points[f'{size}']}", file=sys.stderr)
    print(write("audit", {"points": points, "growth": _growth(points), "rounds": asked.rounds}))


def _growth(points: dict[str, dict[str, float]]) -> dict[str, float]:
    """How the CPU time grows from each size to the next: the exponent, which is 1 where growth is linear."""
    pairs = itertools.pairwise(points.values())
    return {
        f"{small['rows']:.0f} to {large['rows']:.0f}": math.log(large["cpu_s"] / small["cpu_s"])
        / math.log(large["rows"] / small["rows"])
        for small, large in pairs
    }


def _one(folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.audit", "--side", folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=1800)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
