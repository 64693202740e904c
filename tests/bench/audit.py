"""Audits generated histories of 0.1, 1 and 10 million operations: seconds and memory on one core, and how they grow.

    python -m tests.bench.audit [--rounds N] [--operations N …]

The history is a correct on-sale on a large scale: every fan joins, is told positions, is admitted, looks, holds, pays
and looks the order up; some conflicts, releases and declines; spectators follow part of the feed. Each audit runs in a
process of its own; the time counts from the opened record (its tables still on disk, their seals checked) to the last
verdict, and the peak of resident memory is that of the whole process.
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
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.audit import audit
from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.schema import TABLES, Phase, SeatMapFacts
from harness.record.seal import RUN_ID, seal
from harness.record.verdict import Status
from harness.record.writer import write_document
from tests.bench.rounds import medians, pin, write
from tests.builders import RunBuilder

SIZES = (100_000, 1_000_000, 10_000_000)
STEPS = 6  # operations of a fan: join, enter, a conflict, hold, pay, look-up
RATE_PER_S = 1000.0
BATCH_FANS = 50_000
FEED_EVENTS = 20_000


def generate(root: Path, operations: int) -> None:
    """A run directory with about so many operations, a record like any other."""
    paths = RunPaths(root=root)
    fans = operations // STEPS
    scenario = RunBuilder(fans=0, spectators=0, faulty=False)
    resolved = dict(scenario.run.scenario)
    resolved["on_sale"] = {"admission_rate_per_s": RATE_PER_S, "admission_burst": 10}
    facts = SeatMapFacts(capacity=fans, epoch="e1", seq=None)
    over_s = _called_s(fans) + 3.0
    settling = Phase(name="settle", t_start_s=over_s, t_end_s=over_s + 10.0)
    run = scenario.changed(scenario=resolved, seat_map_at_rest=facts, phases=(settling,)).run
    write_document(paths.faults, scenario.faults)
    written_by = {RUN_ID: run.run_id}
    writers = {
        name: pq.ParquetWriter(paths.table(name), schema.with_metadata(written_by), compression="zstd")
        for name, schema in TABLES.items()
    }
    for first in range(0, fans, BATCH_FANS):
        for name, rows in _fans(np.arange(first, min(first + BATCH_FANS, fans)), over_s).items():
            writers[name].write_table(rows)
    writers["events"].write_table(_feed(min(FEED_EVENTS, fans)))
    for writer in writers.values():
        writer.close()
    write_document(paths.run, seal(paths, run))


def _called_s(place: int) -> float:
    return 1.0 + place / RATE_PER_S


def _fans(users: np.ndarray, over_s: float) -> dict[str, pa.Table]:
    """Fans from the queue to the look at their order after settling, which begins at `over_s`."""
    names = [f"fan-{user:08d}" for user in users.tolist()]
    seats = [f"{user // 400}-{user % 400 // 20}-{user % 20}" for user in users.tolist()]
    joined = users / 10_000
    called = 1.0 + users / RATE_PER_S
    texts = {
        "join": [f'{{"position":{n + 1},"epoch":"e1","parked":false}}' for n in users.tolist()],
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
        "join": names, "enter": names, "conflict": [""] * len(names), "hold": [f"hold-{n}" for n in users.tolist()],
        "pay": [f"key-{n}" for n in users.tolist()], "order": [f"order-{n}" for n in users.tolist()],
    }  # fmt: skip
    offsets = {"join": joined, "enter": called + 0.1, "conflict": called + 0.5, "hold": called + 0.7}
    offsets |= {"pay": called + 1.5, "order": over_s + users / RATE_PER_S}
    operations = [
        _operations(step, users, names, keys[step], texts[step], offsets[step], at) for at, step in enumerate(texts)
    ]
    orders = {"order_id": keys["order"], "fan": names, "seat": seats, "state": ["confirmed"] * len(names)}
    orders |= {"amount_cents": [5000] * len(names), "idempotency_key": keys["pay"]}
    orders |= {"pool": [""] * len(names), "quantity": [1] * len(names)}
    ledger = {"charge_id": [f"c-{n}" for n in users.tolist()], "idempotency_key": keys["pay"]}
    ledger |= {"order_id": keys["order"], "entry": ["capture"] * len(names), "amount_cents": [5000] * len(names)}
    return {
        "operations": pa.concat_tables(operations),
        "events": _positions(users, names, called),
        "final_seats": pa.table({"seat": seats, "state": ["sold"] * len(names)}, schema=TABLES["final_seats"]),
        "final_orders": pa.table(orders, schema=TABLES["final_orders"]),
        "final_ledger": pa.table(ledger, schema=TABLES["final_ledger"]),
    }


def _operations(
    step: str, users: np.ndarray, names: list[str], keys: list[str], texts: list[str], invoked: np.ndarray, at: int
) -> pa.Table:
    count, conflict = len(names), step == "conflict"
    columns = {
        "op": users * STEPS + at,
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
    return pa.table(columns, schema=TABLES["operations"])


def _positions(users: np.ndarray, names: list[str], called: np.ndarray) -> pa.Table:
    """Two positions and the call of each fan."""
    parts = [("position", called - 0.6, 1), ("position", called - 0.3, 1), ("admitted", called, None)]
    rows = []
    for event, t_s, value in parts:
        values = pa.nulls(len(names), pa.int64()) if value is None else np.full(len(names), value)
        rows.append(_events(users, names, "positions", event, t_s, values, [""] * len(names), None))
    return pa.concat_tables(rows)


def _events(
    users: np.ndarray,
    names: list[str],
    stream: str,
    event: str,
    t_s: np.ndarray,
    values: object,
    keys: list[str],
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


def _feed(changes: int) -> pa.Table:
    """One spectator who sees so many changes."""
    who, t_s, seqs = ["spectator-0"], np.array([-1.0]), np.array([0])
    head = _events(np.array([-1]), who, "feed", "snapshot", t_s, np.array([0]), [""], seqs)
    numbers = np.arange(1, changes + 1)
    seats = [f"{n // 400}-{n % 400 // 20}-{n % 20}" for n in range(changes)]
    users = np.full(changes, -1)
    rows = _events(users, who * changes, "feed", "seat", numbers / 1000, np.full(changes, 2), seats, numbers)
    return pa.concat_tables([head, rows])


def measure(root: Path) -> dict[str, float]:
    """One audit in this process."""
    pin(1)
    pa.set_cpu_count(1)
    start_s = time.perf_counter()
    record = Record.open(root)
    opened_s, cpu_s = time.perf_counter(), time.process_time()
    results = audit(record)
    audited_s, cpu_s = time.perf_counter(), time.process_time() - cpu_s
    sound = (Status.HELD, Status.NOT_EXERCISED)
    wrong = [f"{result.name}: {result.note}" for result in results if result.status not in sound]
    if [name for name in wrong if not name.startswith("no_queue_bypass")]:
        raise SystemExit(f"a correct history was not held: {wrong}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    operations = record.run.tables["operations"].rows
    figures = {"operations": operations, "open_s": opened_s - start_s, "audit_s": audited_s - opened_s}
    return {**figures, "audit_cpu_s": cpu_s, "peak_mb": peak_mb}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operations", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(measure(Path(asked.side))))
        return
    points = {}
    for size in asked.operations:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), size)
            rounds = [_one(folder) for _ in range(asked.rounds)]
        points[f"{size}"] = medians(rounds)
        print(f"{size:>12,}: {points[f'{size}']}", file=sys.stderr)
    print(write("audit", {"points": points, "growth": _growth(points), "rounds": asked.rounds}))


def _growth(points: dict[str, dict[str, float]]) -> dict[str, float]:
    """How the CPU time grows from each size to the next: the exponent, which is 1 where growth is linear."""
    pairs = itertools.pairwise(points.values())
    return {
        f"{small['operations']:.0f} to {large['operations']:.0f}": math.log(large["audit_cpu_s"] / small["audit_cpu_s"])
        / math.log(large["operations"] / small["operations"])
        for small, large in pairs
    }


def _one(folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.audit", "--side", folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=1800)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
