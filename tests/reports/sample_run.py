"""A run directory as a rehearsal would leave it, drawn from a seed: small enough to read, rich enough to fill every page.

It has a thousand fans, the four faults, and a platform that suffers under them in the ways the report must show.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.schema import (
    SCHEMA_VERSION,
    TABLES,
    Anomaly,
    CanarySample,
    FaultRun,
    FaultsDocument,
    LoadSummary,
    Phase,
    ProcessInfo,
    RunDocument,
    WorkerSummary,
)
from harness.record.writer import TableWriter, write_document

Rows = list[dict[str, object]]
DURATION_S = 55.0
REDIS = (6.0, 10.0)
DATABASE = (16.0, 20.0)
PAYMENT = (26.0, 35.0)
DROP_S = 42.0


def write_tables(root: Path, tables: dict[str, Rows | pa.Table]) -> None:
    """Finish every table of the record; one that is not given is empty."""
    for name in TABLES:
        rows = tables.get(name, [])
        with TableWriter(RunPaths(root=root), name) as writer:
            if isinstance(rows, pa.Table):
                for batch in rows.to_batches():
                    writer.append(batch)
            elif rows:
                writer.append(rows)
            writer.finish()


def write_sample(root: Path, *, seed: int = 7, fans: int = 1000) -> Record:
    """Write the whole run directory and open it."""
    crowd = _Crowd(np.random.default_rng(seed), fans)
    crowd.run()
    write_tables(root, {**crowd.tables(), "metrics": _metrics(crowd), "generator": _generator(len(crowd.requests))})
    write_document(RunPaths(root=root).run, run_document(fans, len(crowd.requests)))
    write_document(RunPaths(root=root).faults, FaultsDocument(schema=SCHEMA_VERSION, faults=fault_runs()))
    return Record.open(root)


class _Crowd:
    """Every fan's journey, one after the other; time is a number, nothing waits."""

    def __init__(self, rng: np.random.Generator, fans: int) -> None:
        self.rng = rng
        self.fans = fans
        self.requests: Rows = []
        self.operations: Rows = []
        self.events: Rows = []
        self.admitted: list[float] = []

    def tables(self) -> dict[str, Rows | pa.Table]:
        return {"requests": self.requests, "operations": self.operations, "events": self.events}

    def run(self) -> None:
        admission_s = 1.2
        for user in range(self.fans):
            first_s = float(self.rng.uniform(0.001, 0.46))
            self.request(user, "queue_page", first_s, self.latency(0.012 + user / self.fans * 0.25))
            if self.rng.random() < 0.006:
                continue
            joined_s = first_s + 0.3 + self.latency(0.3)
            while REDIS[0] <= admission_s <= REDIS[1] + 0.4:
                admission_s += 0.2
            admission_s = max(admission_s + 1 / 30, joined_s + 0.4)
            self.journey(user, joined_s, admission_s)
        for user in range(100):
            self.request(self.fans + user, "feed", 0.2 + user / 200, self.latency(0.02), kind="spectator", method="WS")
            self.request(self.fans + user, "feed", DROP_S + 0.3 + user / 90, self.latency(0.05), kind="spectator")

    def journey(self, user: int, joined_s: float, admission_s: float) -> None:
        late = self.latency(0.25)
        self.request(user, "join", joined_s, late, method="POST")
        self.operation(user, "join", f"fan-{user}", {"position": user, "epoch": "e1"}, joined_s, late)
        self.request(user, "positions", joined_s + late, 0.05, method="SSE")
        if admission_s > 52:
            return
        self.admitted.append(admission_s)
        took = self.latency(0.01)
        self.request(user, "enter", admission_s, took, method="POST")
        self.operation(user, "enter", f"fan-{user}", {"admission_no": user}, admission_s, took)
        at_s = admission_s + took
        for step in ("venue", "section_counts", "seat_map"):
            at_s += self.latency(0.2)
            slow = 0.06 if step == "seat_map" else 0.006
            self.request(user, step, at_s, self.latency(slow))
        held_s = self.hold(user, at_s + self.latency(0.5))
        if held_s is None or self.rng.random() < 0.06:
            return
        self.pay(user, held_s + self.latency(0.6))

    def hold(self, user: int, at_s: float) -> float | None:
        for attempt in range(1, 6):
            took = self.latency(0.009)
            down = REDIS[0] <= at_s <= REDIS[1] + 0.3
            conflict = self.rng.random() < 0.2
            error = "status" if down else ""
            status = 503 if down else 409 if conflict else 201
            self.request(user, "hold", at_s, took, method="POST", status=status, error=error, attempt=attempt)
            why = "refused" if down else "conflict" if conflict else ""
            self.operation(
                user, "hold", "" if why else f"h-{user}", {"seats": [f"101-A-{user}"]}, at_s, took, error=why
            )
            if not why:
                return at_s + took
            at_s += self.latency(1.6)
        return None

    def pay(self, user: int, at_s: float) -> None:
        slow = PAYMENT[0] <= at_s <= PAYMENT[0] + 2.0
        parked = DATABASE[0] <= at_s <= DATABASE[1] or PAYMENT[0] <= at_s <= PAYMENT[1]
        took = 2.0 + self.latency(0.01) if slow else self.latency(0.09)
        declined = self.rng.random() < 0.03
        cut = self.rng.random() < 0.004
        error = "timeout" if cut else ""
        status = 0 if cut else 402 if declined else 202 if parked else 201
        self.request(user, "pay", at_s, took, method="POST", status=status, error=error)
        state = "pending" if parked else "confirmed"
        value = {"hold_id": f"h-{user}", "seats": [f"101-A-{user}"], "order_id": f"o-{user}", "state": state}
        why = "timeout" if cut else "declined" if declined else ""
        self.operation(user, "pay", f"k-{user}", value, at_s, took, error=why)
        if parked and not why and at_s < 34:
            self.request(user, "order", at_s + 4.5, self.latency(0.01))
            self.operation(user, "order", f"o-{user}", {"state": "confirmed"}, at_s + 4.5, 0.01)

    def latency(self, median_s: float) -> float:
        return float(median_s * self.rng.lognormal(0, 0.45))

    def request(
        self,
        user: int,
        step: str,
        at_s: float,
        took_s: float,
        *,
        kind: str = "fan",
        method: str = "GET",
        status: int = 200,
        error: str = "",
        attempt: int = 1,
    ) -> None:
        self.requests.append(
            {
                "seq": len(self.requests),
                "worker": 0,
                "user": user,
                "kind": kind,
                "step": step,
                "method": method,
                "t_intended_s": at_s - abs(self.latency(0.004)),
                "t_start_s": at_s,
                "t_first_byte_s": at_s + took_s * 0.9 if status else None,
                "t_end_s": at_s + took_s,
                "status": status,
                "outcome": "unknown" if status == 0 else "fail" if error else "ok",
                "error": error,
                "response_bytes": 420,
                "attempt": attempt,
            }
        )

    def operation(
        self, user: int, function: str, key: str, value: object, at_s: float, took_s: float, *, error: str = ""
    ) -> None:
        self.operations.append(
            {
                "op": len(self.operations),
                "worker": 0,
                "actor": f"fan-{user}",
                "identity": f"fan-{user}",
                "function": function,
                "key": key,
                "value": json.dumps(value),
                "t_invoke_s": at_s,
                "t_complete_s": None if error == "timeout" else at_s + took_s,
                "outcome": "unknown" if error == "timeout" else "fail" if error else "ok",
                "error": error,
                "retry_of": None,
            }
        )


def _metrics(crowd: _Crowd) -> Rows:
    rows: Rows = []
    admitted = np.sort(np.array(crowd.admitted))

    def put(t_s: float, source: str, name: str, value: float, labels: str = "") -> None:
        rows.append({"t_s": t_s, "source": source, "name": name, "labels": labels, "value": float(value)})

    for t_s in np.arange(-2, DURATION_S, 0.5):
        windows = {"redis": REDIS, "db": DATABASE, "payments": PAYMENT}
        for dependency, (start_s, end_s) in windows.items():
            state = 2 if start_s + 0.7 <= t_s < end_s + 0.6 else 1 if end_s + 0.6 <= t_s < end_s + 1.4 else 0
            put(t_s, "booking", "target_breaker_state", state, f"dependency={dependency}")
        waiting = 0 if t_s < 0.6 else crowd.fans - np.searchsorted(admitted, t_s)
        put(t_s, "worker", "target_queue_depth", waiting)
        put(t_s, "worker", "target_replica_lag_seconds", 0.02 if not 16 <= t_s <= 20 else t_s - 16)
        put(t_s, "booking", "target_orders_parked", 34 if 16 <= t_s <= 20 else 0)
        put(t_s, "booking", "target_sse_connections", waiting)
        put(t_s, "feed-1", "target_websocket_connections", 50 if not 42 <= t_s <= 42.5 else 21)
        put(t_s, "booking", "process_cpu_seconds_total", 10 + max(t_s, 0) * 0.55)
        put(t_s, "worker", "process_cpu_seconds_total", 4 + max(t_s, 0) * 0.12)
        n = max(t_s, 0) * 20
        for bound, share in (("0.005", 0.4), ("0.01", 0.8), ("0.025", 0.97), ("0.05", 0.995), ("+Inf", 1.0)):
            put(t_s, "booking", "target_db_write_seconds_bucket", int(n * share), f"le={bound}")
    return rows


def _generator(samples: int) -> Rows:
    rng = np.random.default_rng(3)
    return [
        {
            "worker": 0,
            "t_s": float(t_s),
            "loop_lag_ms_max": float(rng.uniform(4, 30) + (40 if t_s == 0 else 0)),
            "loop_lag_ms_p99": float(rng.uniform(2, 12)),
            "cpu_percent": 83.0 if t_s == 0 else float(rng.uniform(12, 40)),
            "rss_bytes": 180_000_000,
            "fds": 1240,
            "fds_limit": 65_536,
            "users": 1100,
            "samples": int(samples * max(t_s, 0) / DURATION_S),
        }
        for t_s in range(-4, int(DURATION_S))
    ]


def run_document(fans: int, requests: int) -> RunDocument:
    """What was asked and delivered, as run.json says it."""
    worker = WorkerSummary(
        worker=0,
        host="127.0.0.1",
        armed=fans + 100,
        released=fans + 99,
        skew_ms_min=0.1,
        skew_ms_p50=241.0,
        skew_ms_p99=455.2,
        skew_ms_max=461.7,
        clock_offset_ms=0.02,
        clock_uncertainty_ms=0.08,
        requests_sent=requests,
        samples_recorded=requests,
    )
    load = LoadSummary(
        users_asked=fans + 100,
        users_armed=fans + 100,
        users_released=fans + 99,
        window_asked_s=0.5,
        window_delivered_s=0.462,
        skew_ms_p50=241.0,
        skew_ms_p99=455.2,
        skew_ms_max=461.7,
        requests_sent=requests,
        samples_recorded=requests,
        unfinished=12,
        workers=(worker,),
    )
    return RunDocument(
        schema=SCHEMA_VERSION,
        run_id="20261123-101500-playoff-presale-1a2b",
        scenario_name="playoff-presale",
        scenario={
            "name": "playoff-presale",
            "description": "A playoff on-sale: a thousand fans at one instant, four faults one after another.",
            "duration_s": DURATION_S,
            "minimum_grade": "C",
            "load": {"fans": fans, "spectators": 100, "release_window_s": 0.5, "connect": "warm"},
            "on_sale": {"hold_ttl_s": 8.0, "admission_rate_per_s": 30.0},
            "faults": [{"experiment": name, "start_s": 6.0, "length_s": None} for name in ("redis-down",)],
        },
        seed=7,
        t0="2026-11-23T10:15:12.400Z",
        command=("gatecrash", "rehearse", "playoff-presale", "--seed", "7"),
        versions={"gatecrash": "0.1.0", "python": "3.11.9", "locust": "2.47.0", "postgres": "18.1", "valkey": "9.0.1"},
        capabilities=("order_export", "ledger_export", "seat_map", "feed", "sweep"),
        phases=(
            Phase(name="raise", t_start_s=-14.2, t_end_s=-6.0),
            Phase(name="arm", t_start_s=-6.0, t_end_s=0.0),
            Phase(name="release", t_start_s=0.0, t_end_s=0.5),
            Phase(name="observe", t_start_s=0.5, t_end_s=DURATION_S),
            Phase(name="settle", t_start_s=DURATION_S, t_end_s=66.1),
        ),
        load=load,
        anomalies=(Anomaly(t_s=42.6, source="feed-1", text="31 connections closed at once by the peer"),),
        processes=(ProcessInfo(name="booking", pid=101, address="127.0.0.1:41001"),),
        journey_digest="9f2c" * 16,
        clock_offsets_ms={"conductor": 0.0, "swarm": 0.02, "booking": -0.11},
        complete=True,
    )


def fault_runs() -> tuple[FaultRun, ...]:
    """The four experiments as they were carried out."""
    plan = (
        ("redis-down", "redis", "refuse", REDIS, "refused"),
        ("db-unreachable", "postgres_primary", "cut", DATABASE, "hung"),
        ("payment-latency-8s", "payments", "latency", PAYMENT, "slow"),
        ("websocket-drops", "feed", "drop", (DROP_S, DROP_S + 0.2), "dropped"),
    )
    return tuple(
        FaultRun(
            experiment=name,
            component=component,
            kind=kind,
            injector="toxiproxy",
            hypothesis=f"Fans keep their place and no booking is lost while {component} is away.",
            runbook=f"Watch the breaker of {component}; tell the box office to keep the queue page up.",
            t_requested_s=start_s,
            t_effective_s=start_s + 0.04,
            t_heal_requested_s=end_s,
            t_healed_s=end_s + 0.21,
            proven=True,
            measured={"latency_ms_p50": 8003.1} if kind == "latency" else {"probes_refused": 38.0},
            samples=tuple(
                CanarySample(t_s=float(t_s), state="ok" if not start_s <= t_s < end_s else state, latency_ms=1.2)
                for t_s in np.arange(start_s - 1, end_s + 1, 0.2)
            ),
        )
        for name, component, kind, (start_s, end_s), state in plan
    )
