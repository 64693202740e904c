"""Builds believable run directories: a small on-sale played on paper, then broken one thing at a time.

    RunBuilder(fans=40, seed=3).write(tmp_path)                      # everything in order
    RunBuilder().double_sell().write(tmp_path)                       # one seat, two confirmed orders

`tables` holds the rows and `run` and `faults` the documents; a test may also change them by hand before `write`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import pyarrow as pa

from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.schema import (
    SCHEMA_VERSION,
    TABLES,
    CanarySample,
    FaultRun,
    FaultsDocument,
    LoadSummary,
    Phase,
    ProcessInfo,
    RunDocument,
    SeatMapFacts,
    WorkerSummary,
)
from harness.record.seal import control_seal, seal
from harness.record.verdict import ExpectationResult, FaultResult
from harness.record.writer import TableWriter, write_document
from harness.scenario import Load, Objective, OnSale, PlannedFault, Scenario
from tests.paper_sale import EPOCH, HOLD_TTL_S, PaperSale, Row

OBJECTIVES = {
    "checkout_completion_ratio": Objective(target=0.5, worst=0.2),
    "hold_response_p99_ms": Objective(target=1000.0, worst=5000.0),
    "pay_response_p95_ms": Objective(target=4000.0, worst=12000.0),
    "error_ratio": Objective(target=0.3, worst=0.6),
}


_OF_SEATS: dict[str, object] = {"pool": "", "quantity": 1}
_DEFAULTS = {"requests": {"page": ""}, "final_orders": _OF_SEATS, "baseline_orders": _OF_SEATS}
"""What a test need not say of a row."""


def whole_rows(name: str, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    default = _DEFAULTS.get(name, {})
    return [{**default, **row} for row in rows]


@dataclass
class RunBuilder(PaperSale):
    """The run directory of one on-sale on paper."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.run = self._run_document()
        self.faults = FaultsDocument(
            schema=SCHEMA_VERSION, faults=tuple(self._fault_run(*plan) for plan in self.windows)
        )

    def scenario(self) -> Scenario:
        """The scenario that this on-sale was played by."""
        return Scenario(
            name="playoff-presale",
            description="A small on-sale on paper.",
            seed=self.seed,
            duration_s=self.duration_s,
            on_sale=OnSale(hold_ttl_s=HOLD_TTL_S, admission_rate_per_s=self.admission_rate_per_s, admission_burst=5),
            load=Load(fans=self.fans, spectators=self.spectators),
            faults=tuple(PlannedFault(experiment=w[0], start_s=w[3], length_s=w[4] - w[3]) for w in self.windows),
            objectives=OBJECTIVES,
        )

    def _run_document(self) -> RunDocument:
        end = self.duration_s
        return RunDocument(
            schema=SCHEMA_VERSION,
            run_id="20261123-101500-playoff-presale-1a2b",
            scenario_name="playoff-presale",
            scenario=msgspec.to_builtins(self.scenario()),
            seed=self.seed,
            t0="2026-11-23T10:15:00Z",
            command=("gatecrash", "rehearse", "playoff-presale"),
            versions={"gatecrash": "0.1.0", "python": "3.11.9"},
            capabilities=self.capabilities,
            phases=(
                Phase(name="raise", t_start_s=-12.0, t_end_s=-5.0),
                Phase(name="arm", t_start_s=-5.0, t_end_s=0.0),
                Phase(name="observe", t_start_s=0.0, t_end_s=end),
                Phase(name="settle", t_start_s=end, t_end_s=end + 12.0),
            ),
            load=self._load(),
            processes=(ProcessInfo(name="booking", pid=4242, address="127.0.0.1:41001"),),
            journey_digest="5e" * 32,
            complete=True,
            at_rest=True,
            seat_map_at_rest=SeatMapFacts(capacity=len(self.seats), epoch=EPOCH, seq=len(self.changes)),
        )

    def _load(self) -> LoadSummary:
        users, sent = self.fans + self.spectators, len(self.tables["requests"])
        skew = {"skew_ms_p50": 1.1, "skew_ms_p99": 4.0, "skew_ms_max": 6.2}
        worker = WorkerSummary(
            worker=0, host="localhost", armed=users, released=users, skew_ms_min=0.1, **skew,
            clock_offset_ms=0.0, clock_uncertainty_ms=0.2, requests_sent=sent, samples_recorded=sent,
        )  # fmt: skip
        return LoadSummary(
            users_asked=users, users_armed=users, users_released=users, window_asked_s=0.5, window_delivered_s=0.49,
            **skew, requests_sent=sent, samples_recorded=sent, unfinished=0, workers=(worker,),
        )  # fmt: skip

    def _fault_run(self, experiment: str, component: str, kind: str, start: float, end: float) -> FaultRun:
        ticks = [start - 0.5, start + 0.1, (start + end) / 2, end + 0.2]
        samples = tuple(
            CanarySample(t_s=t_s, state=kind if start <= t_s <= end else "ok", latency_ms=2.0) for t_s in ticks
        )
        return FaultRun(
            experiment=experiment, component=component, kind=kind, injector="toxiproxy",
            hypothesis=f"With {component} gone, fans keep their place and their seats.",
            runbook=f"docs/runbooks.md#{experiment}", t_requested_s=start, t_effective_s=start + 0.1,
            t_heal_requested_s=end, t_healed_s=end + 0.2, proven=True, measured={"probes": 4.0}, samples=samples,
        )  # fmt: skip

    def fault_results(self) -> tuple[FaultResult, ...]:
        """What judging the experiments gives when every expectation is met."""
        met = ExpectationResult(name="recovers", status="met", observed="recovered after 1.2 s", expected="within 5 s")
        return tuple(
            FaultResult(
                experiment=fault.experiment, component=fault.component, kind=fault.kind,
                requested_s=(fault.t_heal_requested_s or 0.0) - (fault.t_requested_s or 0.0),
                effective_s=(fault.t_healed_s or 0.0) - (fault.t_effective_s or 0.0), healed_s=0.2,
                proven=fault.proven, canary=dict(fault.measured), expectations=(met,),
                t_start_s=fault.t_effective_s, t_end_s=fault.t_healed_s,
                hypothesis=fault.hypothesis, runbook=fault.runbook,
            )
            for fault in self.faults.faults
        )  # fmt: skip

    def record(self, *, absent: Iterable[str] = ()) -> Record:
        """The record that reading the run directory gives, without the disk; `absent` tables were never written."""
        gone = frozenset(absent)
        tables = {
            name: pa.Table.from_pylist([] if name in gone else whole_rows(name, rows), schema=TABLES[name])
            for name, rows in self.tables.items()
        }
        return Record(RunPaths(root=Path("on-paper")), self.run, self.faults, tables, gone)

    def write(self, root: Path) -> RunPaths:
        """Write the run directory at `root` (made if absent) and return its paths; a control in it is its own."""
        root.mkdir(parents=True, exist_ok=True)
        paths = RunPaths(root=root)
        write_document(paths.faults, self.faults)
        for name, rows in self.tables.items():
            writer = TableWriter(paths, name, self.run.run_id)
            writer.append(whole_rows(name, rows))
            writer.finish()
        run = msgspec.structs.replace(self.run, control_sealed=control_seal(paths))
        write_document(paths.run, seal(paths, run) if run.complete else run)
        return paths

    def changed(self, **changes: object) -> Self:
        """Replace fields of run.json."""
        self.run = msgspec.structs.replace(self.run, **changes)
        return self

    def confirmed(self) -> list[Row]:
        """The rows of the order export that are confirmed."""
        return [row for row in self.tables["final_orders"] if row["state"] == "confirmed"]

    def double_sell(self) -> Self:
        """Confirm an already sold seat to another fan as well."""
        row = self.confirmed()[0]
        value: Row = {"hold_id": "hold-9999", "seats": [row["seat"]], "order_id": "order-9999"}
        told = value | {"amount_cents": 5000, "state": "confirmed", "shown_cents": 5000}
        self.look_at_rest(self.operation(9999, "pay", "key-9999", told, 30.0, 30.2))
        self.order(9999, "order-9999", "key-9999", [str(row["seat"])], "confirmed", ("capture",))
        return self

    def lose_booking(self) -> Self:
        """Forget one confirmed order altogether: order, money and seat."""
        self._forget_resting_seq()
        lost = self.confirmed()[0]["order_id"]
        seats = {row["seat"] for row in self.confirmed() if row["order_id"] == lost}
        for name in ("final_orders", "final_ledger"):
            self.tables[name] = [row for row in self.tables[name] if row["order_id"] != lost]
        self.tables["final_seats"] = [
            row | {"state": "free"} if row["seat"] in seats else row for row in self.tables["final_seats"]
        ]
        for op in self.tables["operations"]:
            if op["function"] == "sweep" and op["key"] in seats:
                op |= {"outcome": "unknown", "error": "timeout", "t_complete_s": None}
        return self

    def lose_seat(self) -> Self:
        """Leave one free seat out of the final map."""
        seats = self.tables["final_seats"]
        seats.remove(next(row for row in seats if row["state"] == "free"))
        return self

    def leak_hold(self) -> Self:
        """Leave a free seat held for ever."""
        self._forget_resting_seq()
        row = next(row for row in self.tables["final_seats"] if row["state"] == "free")
        row["state"] = "held"
        self.tables["operations"] = [
            op | {"outcome": "fail", "error": "conflict"}
            if (op["function"], op["key"]) == ("sweep", row["seat"])
            else op
            for op in self.tables["operations"]
        ]
        return self

    def _forget_resting_seq(self) -> None:
        """Let the resting map carry no sequence number, so that only what was meant to break does."""
        self.changed(seat_map_at_rest=SeatMapFacts(capacity=len(self.seats)))

    def double_charge(self) -> Self:
        """Capture one order twice."""
        capture = next(row for row in self.tables["final_ledger"] if row["entry"] == "capture")
        self.tables["final_ledger"].append(capture | {"charge_id": "charge-again", "idempotency_key": "another"})
        return self

    def jump_the_queue(self) -> Self:
        """Admit the last fan before everybody else."""
        enters = [op for op in self.tables["operations"] if op["function"] == "enter"]
        first, last = enters[0], enters[-1]
        first["value"], last["value"] = last["value"], first["value"]
        return self

    def lose_place(self) -> Self:
        """Forget a fan who joined before everybody else and opened their stream again: they wait to the end."""
        self.operation(9001, "join", "fan-9001", {"position": 1, "epoch": EPOCH}, -1.0, -0.9)
        for event, t_s in (("connect", -0.8), ("connect", 0.6), ("disconnect", self.duration_s)):
            self.event(9001, "positions", event, t_s)["actor"] = "fan-9001"
        return self

    def drop_feed_event(self) -> Self:
        """Lose one change on one spectator's stream."""
        seen = [row for row in self.tables["events"] if row["stream"] == "feed" and row["event"] == "seat"]
        self.tables["events"].remove(seen[len(seen) // 2])
        return self

    def expire_early(self) -> Self:
        """Grant a seat to somebody else half-way through another's hold, who lets it run out and does nothing."""
        seat = "103-Z-1"
        self._another_seat(seat)
        self._let_in(8001, 8002)
        for fan, t_s in ((8001, 40.0), (8002, 40.0 + HOLD_TTL_S / 2)):
            self.operation(fan, "hold", f"hold-{fan}", {"seats": [seat], "ttl_s": HOLD_TTL_S}, t_s, t_s + 0.1)
        return self

    def grant_other(self) -> Self:
        """Grant one fan a seat that they did not ask for."""
        hold = next(op for op in self.tables["operations"] if op["function"] == "hold" and op["outcome"] == "ok")
        value = json.loads(str(hold["value"]))
        hold["value"] = json.dumps(value | {"asked": ["103-Z-4", *value["asked"][1:]]})
        return self

    def expire_late(self) -> Self:
        """Refuse a seat to a fan though its only hold has been over for three seconds."""
        seat = "103-Z-2"
        self._another_seat(seat)
        self._let_in(8101, 8102)
        self.operation(8101, "hold", "hold-8101", {"seats": [seat], "ttl_s": HOLD_TTL_S}, 30.0, 30.1)
        t_s = 30.1 + HOLD_TTL_S + 3.0
        self.operation(8102, "hold", "", {"seats": [seat]}, t_s, t_s + 0.1, "fail", "conflict")
        return self

    def refuse_for_nothing(self) -> Self:
        """Refuse a fan a seat that nobody else wants before them, for a conflict; it is granted to another later."""
        seat = "103-Z-5"
        self._another_seat(seat)
        self._let_in(8301, 8302)
        self.operation(8301, "hold", "", {"seats": [seat]}, 30.0, 30.1, "fail", "conflict")
        self.operation(8302, "hold", "hold-8302", {"seats": [seat], "ttl_s": HOLD_TTL_S}, 31.0, 31.1)
        return self

    def grant_sold(self) -> Self:
        """Grant a sold seat to somebody else, who lets it run out and does nothing."""
        pay = next(op for op in self.tables["operations"] if _confirms(op))
        seats = json.loads(str(pay["value"]))["seats"]
        t_s = float(str(pay["t_complete_s"])) + HOLD_TTL_S + 1.0
        self._let_in(8201)
        self.operation(8201, "hold", "hold-8201", {"seats": seats, "ttl_s": HOLD_TTL_S}, t_s, t_s + 0.1)
        return self

    def show_free(self) -> Self:
        """Show every seat as free to the last fan who looks."""
        t_s = max(float(str(op["t_invoke_s"])) for op in self.tables["operations"] if op["function"] == "look") + 1.0
        self.look(0, t_s, "0" * len(self.seats), set())
        return self

    def _let_in(self, *fans: int) -> None:
        for fan in fans:
            self.operation(fan, "join", f"fan-{fan}", {"position": None}, -1.0, -0.9)
            self.operation(fan, "enter", f"fan-{fan}", {"admission_no": fan - 9999}, -0.8, -0.7)

    def _another_seat(self, seat: str) -> None:
        self.tables["final_seats"].append({"seat": seat, "state": "free"})
        facts = self.run.seat_map_at_rest or SeatMapFacts()
        self.changed(seat_map_at_rest=msgspec.structs.replace(facts, capacity=len(self.tables["final_seats"])))

    def lose_order(self) -> Self:
        """Take a payment as pending, and know nothing of it any more after settling."""
        told: Row = {"hold_id": "hold-9998", "seats": ["103-Z-2"], "order_id": "order-9998", "state": "pending"}
        self.operation(9998, "pay", "key-9998", told | {"amount_cents": 5000}, 30.0, 30.2)
        self.operation(9998, "order", "order-9998", {}, self.duration_s + 5, self.duration_s + 5.1, "fail", "missing")
        return self

    def raise_prices(self) -> Self:
        """Take more for each order than was shown, and the same in orders, ledger, and what fans are told."""
        for row in (*self.tables["final_orders"], *self.tables["final_ledger"]):
            row["amount_cents"] = 2 * int(str(row["amount_cents"]))
        for op in self.tables["operations"]:
            value = json.loads(str(op["value"]))
            if "amount_cents" in value:
                op["value"] = json.dumps(value | {"amount_cents": 2 * value["amount_cents"]})
        return self

    def reuse_key(self) -> Self:
        """Take a used key for another purchase."""
        row = self.confirmed()[0]
        tried: Row = {"order_id": row["order_id"], "seats": ["103-Z-3"]}
        answered = tried | {"answered_id": "order-9997", "answered_seats": ["103-Z-3"]}
        t_s = self.duration_s + 30
        self.operation(0, "reuse", str(row["idempotency_key"]), answered, t_s, t_s + 0.1, actor=str(row["fan"]))
        return self

    def sell_unasked(self) -> Self:
        """Sell to a fan, who bought already, a seat that nobody asked for, under a key of the platform's own."""
        self._forget_resting_seq()
        row = next(row for row in self.tables["final_seats"] if row["state"] == "free")
        row["state"] = "sold"
        seats = Counter(str(row["fan"]) for row in self.confirmed())
        fan = int(min(seats, key=lambda fan: seats[fan]).removeprefix("fan-"))  # the limit is not what this is about
        self.order(fan, "order-unasked", "", [str(row["seat"])], "confirmed", ("capture",))
        self.tables["operations"] = [
            op | {"outcome": "fail", "error": "conflict"}
            if (op["function"], op["key"]) == ("sweep", row["seat"])
            else op
            for op in self.tables["operations"]
        ]
        return self

    def show_other_number(self) -> Self:
        """Show a fan, at a later look, fewer seats than their order has."""
        row = self.confirmed()[0]
        told: Row = {"state": "confirmed", "seats": [], "quantity": 9, "amount_cents": None}
        self.operation(0, "order", str(row["order_id"]), told, 50.0, 50.1, actor=str(row["fan"]))
        return self

    def exceed_limit(self) -> Self:
        """Let the buyers of many orders be one person."""
        fans = {row["fan"] for row in self.confirmed()}
        for op in self.tables["operations"]:
            if op["actor"] in fans:
                op["identity"] = "reseller"
        return self

    def regress_position(self) -> Self:
        """Tell a fan, who waits, a place further back than before."""
        told = next(row for row in self.tables["events"] if row["event"] == "position")
        later = dict(told, t_s=float(str(told["t_s"])) + 0.001, value=int(str(told["value"])) + 3)
        self.tables["events"].insert(self.tables["events"].index(told) + 1, later)
        return self

    def bypass_queue(self) -> Self:
        """Let a probe without a pass through."""
        probe = next(op for op in self.tables["operations"] if op["function"] == "probe")
        probe |= {"outcome": "ok", "error": ""}
        return self

    def burst_in(self) -> Self:
        """Promise a far lower rate than fans were admitted at."""
        scenario = msgspec.to_builtins(self.scenario())
        on_sale = {**scenario["on_sale"], "admission_rate_per_s": 0.1, "admission_burst": 1}
        return self.changed(scenario={**scenario, "on_sale": on_sale})


def _confirms(operation: Row) -> bool:
    return operation["function"] == "pay" and '"confirmed"' in str(operation["value"])
