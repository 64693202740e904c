"""How far the design carries beyond this machine: what one core was measured to do, arithmetic, and a simulation.

`python -m tests.bench.scale` measures what a row costs the master and the record, writes bench-results/scale.json, and
renews the tables of docs/scale.md; `--tables` only renews them. All other costs come from bench-results and docs/size.

The simulation is fluid and goes second by second: work that a second brings and that cannot be done waits for the next.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from harness.platform import Call, Person
from harness.record.histogram import expand
from harness.record.paths import RunPaths
from harness.record.schema import Function, Outcome
from harness.swarm.calibration.capacity import Calibration, Machine, Sizing, size
from harness.swarm.control.collector import Collector
from harness.swarm.messaging import messages
from harness.swarm.messaging.envelope import MasterEnd, worker_end
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder, prepare_arrow
from harness.swarm.recording.rows import RequestRow
from tests.bench import rounds
from tests.bench.size import KEPT, Figures

PAGE: Final = rounds.ROOT / "docs" / "scale.md"
ROWS: Final = 1_000  # of a batch, as a worker sends them each second or more often
BATCHES: Final = 100
USABLE: Final = 0.7  # of a core, as `plan` takes it
T0: Final = ReleaseInstant(0.0, 0.0)
SMALL: Final = Machine(cores=2, memory_bytes=24 * 10**9, fds_per_process=1_048_576, ports=28_232, addresses=4)
BIG: Final = Machine(cores=16, memory_bytes=64 * 10**9, fds_per_process=1_048_576, ports=28_232, addresses=15)
STEPS_OF_A_FAN: Final = ("queue_page", "challenge", "join", "seat_map", "hold", "order")
CROWDS: Final = {10_000: SMALL, 200_000: SMALL, 1_000_000: BIG, 14_000_000: BIG}
"""Users, and the machines that are to send their load: two cores like this one's, or as a cloud rents them."""
MEASURED: Final = ("requests", "histograms", "operations", "events")
WITHIN_S: Final = 30.0
_ALL: Final = 0.99
REQUESTS_OF_A_USER: Final = 250  # 3.5 billion of 14 million


class RowCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one of a table takes: µs of the master's one core; bytes of the stream on its disk during the run, of the
    finished table, and of memory when that table is read. Of histograms: of one request that they count."""

    master_us: float
    stream_bytes: float
    kept_bytes: float
    read_bytes: float


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Measured, of one core like this machine's. `fan_us`: the load generator's, for a fan who comes, waits and buys or
    leaves; `request_us`: its, for one request; `judge_us` and `judge_bytes`: of one row of the record."""

    fan_us: float
    request_us: float
    judge_us: float
    judge_bytes: float
    tables: dict[str, RowCost]
    calibration: Calibration


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Who comes: all users within `within_s`, with `arrival_requests` each. Of all `requests` the others become fewer,
    by e each `calms_s`. Everybody stays, and is told a place each `told_every_s`; `operations` of each are audited."""

    users: int
    requests: int
    within_s: float = 30.0
    sale_s: int = 3_600
    calms_s: float = 900.0
    arrival_requests: int = 4
    told_every_s: float = 20.0
    operations: int = 3

    def arrivals(self, second: int) -> float:
        """So many come in this second."""
        return self.users / self.within_s * min(1.0, max(0.0, self.within_s - second))

    def later_requests(self, second: int) -> float:
        """So many requests, beside those of arrivals, are sent in this second."""
        first, last, end = (math.exp(-t_s / self.calms_s) for t_s in (second, second + 1, self.sale_s))
        return (self.requests - self.users * self.arrival_requests) * (first - last) / (1.0 - end)

    def told(self, second: int) -> float:
        """So many are told their place in this second."""
        return self.users * min(1.0, (second + 1) / self.within_s) / self.told_every_s


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """What one second brings: seconds of work to all generators, and to the master; requests, operations, events."""

    load_s: float
    master_s: float
    requests: float
    operations: float
    events: float


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `busiest_load_s` and `busiest_master_s`: seconds of work of the busiest second, that is cores
    that it would take. `late_s` and `master_late_s`: how far generators and master were behind at most."""

    requests_per_s: float
    busiest_load_s: float
    busiest_master_s: float
    late_s: float
    master_late_s: float
    kept_bytes: float
    stream_bytes: float
    judge_s: float
    judge_bytes: float

    @property
    def workers(self) -> int:
        """So many keep up in every second."""
        return math.ceil(self.busiest_load_s / USABLE)


def seconds(crowd: Crowd, costs: Costs, requests_as: str) -> Iterator[Second]:
    """The whole sale. `requests_as`: the table that has the requests, `requests` or `histograms`."""
    for second in range(crowd.sale_s):
        arrivals, later = crowd.arrivals(second), crowd.later_requests(second)
        requests = arrivals * crowd.arrival_requests + later
        rows = {
            requests_as: requests,
            "operations": crowd.operations * crowd.users * requests / crowd.requests,
            "events": crowd.told(second),
        }
        yield Second(
            load_s=(arrivals * costs.fan_us + later * costs.request_us) / 1e6,
            master_s=sum(count * costs.tables[name].master_us for name, count in rows.items()) / 1e6,
            requests=requests,
            operations=rows["operations"],
            events=rows["events"],
        )


def simulate(crowd: Crowd, costs: Costs, workers: int, requests_as: str = "requests") -> Simulated:
    """The sale with so many workers of one core each, one master, and one process that judges."""
    sale = list(seconds(crowd, costs, requests_as))
    counts = {
        requests_as: sum(one.requests for one in sale),
        "operations": sum(one.operations for one in sale),
        "events": sum(one.events for one in sale),
    }
    rows = sum(counts.values())  # also of histograms: whoever judges them makes a row of each request again
    return Simulated(
        requests_per_s=max(one.requests for one in sale),
        busiest_load_s=max(one.load_s for one in sale),
        busiest_master_s=max(one.master_s for one in sale),
        late_s=most_behind_s((one.load_s for one in sale), workers),
        master_late_s=most_behind_s((one.master_s for one in sale), 1),
        kept_bytes=sum(count * costs.tables[name].kept_bytes for name, count in counts.items()),
        stream_bytes=sum(count * costs.tables[name].stream_bytes for name, count in counts.items()),
        judge_s=rows * costs.judge_us / 1e6,
        judge_bytes=rows * costs.judge_bytes,
    )


def most_behind_s(work_s: Iterable[float], cores: int) -> float:
    """How long what stands before so many cores takes them, at its longest."""
    behind_s = most_s = 0.0
    for one in work_s:
        behind_s = max(0.0, behind_s + one / cores - 1.0)
        most_s = max(most_s, behind_s)
    return most_s


def costs_of(tables: dict[str, RowCost]) -> Costs:
    """With the others, from bench-results and docs/size. `fan_us` is of the largest run in which all were told."""
    runs = [msgspec.json.decode(file.read_bytes(), type=Figures) for file in KEPT.glob("*/figures.json")]
    whole = max((one for one in runs if one.told > _ALL * one.users), key=lambda one: one.users)
    journey = _result("journeys")["gatecrash"]
    small, large = sorted(_result("audit")["points"].values(), key=lambda one: one["rows"])[-2:]
    return Costs(
        fan_us=whole.cpu_s["load generator"] / whole.told * 1e6,
        request_us=journey["cpu_s"] / journey["requests"] * 1e6,
        judge_us=large["cpu_s"] / large["rows"] * 1e6,
        judge_bytes=(large["peak_mb"] - small["peak_mb"]) * 2**20 / (large["rows"] - small["rows"]),
        tables=tables,
        calibration=whole.predicted.calibration,
    )


def kept() -> Costs:
    """As they were last measured."""
    return msgspec.convert(_result("scale")["costs"], Costs)


def _result(name: str) -> dict[str, Any]:
    return json.loads((rounds.RESULTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def cost_of(table: str, batches: int = BATCHES) -> RowCost:
    """What the master takes to check, count and write batches of one worker, and what is on disk then and after."""
    end = MasterEnd()
    worker = worker_end(end.key_of(1), 1)
    sent = [
        messages.Batch(worker=1, table=table, number=number, data=batch.serialize().to_pybytes())
        for number, batch in enumerate(_batches(table, batches))
    ]
    frames = [[b"one", worker.wrap(messages.pack(one))] for one in sent]
    with tempfile.TemporaryDirectory() as folder:
        paths = RunPaths(root=Path(folder))
        collector = Collector(paths)
        begin_s = time.process_time()
        for one in frames:
            content = end.unwrap(one)
            assert content is not None
            collector.add(messages.from_worker(content))  # type: ignore[arg-type]
        master_s = time.process_time() - begin_s
        stream_bytes = paths.live_table(table).stat().st_size
        collector.finish()
        kept_bytes = paths.table(table).stat().st_size
        read = pq.read_table(paths.table(table))
    read_bytes = (expand(read) if table == "histograms" else read).nbytes
    rows = batches * ROWS
    return RowCost(
        master_us=round(master_s / rows * 1e6, 3),
        stream_bytes=round(stream_bytes / rows, 2),
        kept_bytes=round(kept_bytes / rows, 2),
        read_bytes=round(read_bytes / rows, 1),
    )


def _batches(table: str, count: int) -> Iterator[pa.RecordBatch]:
    """Of a worker whose users do so much each second, with times as a busy platform's are."""
    recorder, random = Recorder(1, whole_users={"fan": ()} if table == "histograms" else None), Random(table)
    for second in range(count):
        for number in range(ROWS):
            _note(recorder, random, table, second, second * ROWS + number)
        yield recorder.take(T0)[table]


def _note(recorder: Recorder, random: Random, table: str, second: int, number: int) -> None:
    fan = Person(user=number, kind="fan", actor=f"fan-{number}", identity=f"fan-{number}")
    start_s = second + random.random()
    end_s = start_s + random.lognormvariate(-3.0, 1.0)
    if table == "events":
        recorder.saw(fan, "positions", "position", start_s, t_sent_s=start_s, epoch="e", seq=second, value=number)
    elif table == "operations":
        one = recorder.begin(fan, Function.JOIN, Call(t_intended_s=start_s), key=fan.actor, value={})
        one.end(Outcome.OK, value={"position": number, "epoch": "e", "parked": False}, t_end_s=end_s)
    else:
        step = random.choice(STEPS_OF_A_FAN)
        recorder.request(
            RequestRow(
                number, fan.user, fan.kind, fan.actor, step, "", "POST", start_s, start_s, end_s, end_s, 200, "ok", "",
                300, 1, None, 0.1,
            )
        )  # fmt: skip


def tables_of(costs: Costs) -> dict[str, list[str]]:
    """Name of the mark in docs/scale.md → the lines between."""
    return {"costs": _costs(costs), "machines": _machines(costs.calibration), "runs": _runs(costs)}


def _costs(costs: Costs) -> list[str]:
    return [
        f"A fan who comes, waits and buys or leaves takes the load generator {costs.fan_us:,.0f} µs, one request of a "
        f"journey {costs.request_us:,.0f} µs.",
        f"Judging takes {costs.judge_us:.1f} µs and {costs.judge_bytes:,.0f} bytes of memory for each row.",
        "",
        "| A row of, a request in | The master's core | Its disk during the run | The finished record | Memory, read |",
        "|---|---|---|---|---|",
        *(_cost(name, one) for name, one in costs.tables.items()),
    ]


def _cost(name: str, one: RowCost) -> str:
    return (
        f"| `{name}` | {one.master_us:.2f} µs | {one.stream_bytes:,.0f} bytes | {one.kept_bytes:,.0f} bytes "
        f"| {one.read_bytes:,.0f} bytes |"
    )


def _machines(calibration: Calibration) -> list[str]:
    return [
        f"| Users within {WITHIN_S:g} s | Each machine | by cores | by memory | by ports | by descriptors "
        "| Machines | Workers | Limited by | First sends take |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_sized(size(users, WITHIN_S, calibration, machine)) for users, machine in CROWDS.items()),
    ]


def _sized(sizing: Sizing) -> str:
    needs = " | ".join(f"{need.machines:,.2f}" for need in sizing.needs)
    each = f"{sizing.machine.cores} cores, {sizing.machine.memory_bytes / 1e9:.0f} GB"
    return (
        f"| {sizing.users:,} | {each} | {needs} | {sizing.machines:,} | {sizing.workers:,} | {sizing.limiting} "
        f"| {sizing.release_ms:,.0f} ms |"
    )


def _runs(costs: Costs) -> list[str]:
    return [
        "| Users | Requests | Busiest second | Workers of `plan` fall behind by | Workers that keep up "
        "| Master, requests as rows | Master, as histograms | Record, rows / histograms | Judging | Limited by |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_run(users, machine, costs) for users, machine in CROWDS.items()),
    ]


def _run(users: int, machine: Machine, costs: Costs) -> str:
    crowd = Crowd(users=users, requests=users * REQUESTS_OF_A_USER, within_s=WITHIN_S)
    planned = size(users, WITHIN_S, costs.calibration, machine).workers
    rows, cells = (simulate(crowd, costs, planned, name) for name in ("requests", "histograms"))
    return (
        f"| {users:,} | {crowd.requests:,} | {rows.requests_per_s:,.0f} | {rows.late_s:,.0f} s | {rows.workers:,} "
        f"| {_busy(rows)} | {_busy(cells)} | {rows.kept_bytes / 1e9:,.1f} / {cells.kept_bytes / 1e9:,.1f} GB "
        f"| {rows.judge_s / 3600:,.1f} h, {rows.judge_bytes / 1e9:,.0f} GB | {limit_of(rows, cells, machine)} |"
    )


def _busy(run: Simulated) -> str:
    behind = f", {run.master_late_s:,.0f} s behind" if run.master_late_s else ""
    return f"{run.busiest_master_s:.2f} cores{behind}"


def limit_of(rows: Simulated, cells: Simulated, machine: Machine) -> str:
    """The first of these: what cannot be had by adding machines, then what can."""
    if min(rows.master_late_s, cells.master_late_s):
        return "the master's core"
    if rows.judge_bytes > machine.memory_bytes:
        return "memory of judging"
    return "the workers' cores"


def main() -> None:
    """Measure unless told otherwise, then renew the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale")
    parser.add_argument("--tables", action="store_true", help="measure nothing, renew the tables")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if not asked.tables:
        prepare_arrow()
        tables = {name: _lowest([cost_of(name) for _ in range(asked.rounds)]) for name in MEASURED}
        costs = msgspec.to_builtins(costs_of(tables))
        print(rounds.write("scale", {"what": "costs of one core, for docs/scale.md", "costs": costs}))
    for name, lines in tables_of(kept()).items():
        rounds.publish(name, lines, PAGE, by="scale")


def _lowest(costs: Sequence[RowCost]) -> RowCost:
    return min(costs, key=lambda one: one.master_us)


if __name__ == "__main__":
    main()
