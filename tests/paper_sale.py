"""A small on-sale played on paper: who queues, holds and pays when, and what everybody sees of it.

It knows the tables of the record and no process, so a test can have one in milliseconds and change any row of it.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.record.schema import TABLES
from harness.record.seat_states import digest, pack, pack_names

Row = dict[str, object]

HOLD_TTL_S = 8.0
LOOKED_UP_S = 2.0  # so often fans hear of their place
EPOCH = "e1"
STATES = {0: "free", 1: "held", 2: "sold"}
EVERY_CAPABILITY = (
    "feed", "hold_release", "ledger_export", "lookup", "order_export", "probes", "queue", "same_key", "seats", "sweep"
)  # fmt: skip
PLANNED = (  # experiment, component, kind, start and end in s on the release clock
    ("redis-down", "redis", "refuse", 6.0, 10.0),
    ("db-unreachable", "postgres_primary", "refuse", 16.0, 20.0),
    ("payment-latency-8s", "payments", "latency", 26.0, 35.0),
    ("websocket-drops", "feed_1", "drop", 42.0, 42.5),
)


@dataclass
class PaperSale:
    """One on-sale. `faulty` false leaves the platform undisturbed."""

    fans: int = 60
    spectators: int = 6
    seed: int = 1
    duration_s: float = 55.0
    admission_rate_per_s: float = 2.0
    rows_per_section: int = 4
    faulty: bool = True
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES}, repr=False)
    capabilities: tuple[str, ...] = EVERY_CAPABILITY

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.windows = PLANNED if self.faulty else ()
        self.seats = [
            f"{section}-{row}-{number}"
            for section in ("101", "102", "103")
            for row in "ABCDEFGH"[: self.rows_per_section]
            for number in range(1, 21)
        ]
        self._unused = list(reversed(self.seats))
        self._freed: list[tuple[float, str]] = []
        self._looks: list[tuple[int, float]] = []  # user, when the seat map was asked for
        self.changes: list[tuple[float, str, int]] = []  # every change of a seat: when, which, to what
        self._state: dict[str, int] = dict.fromkeys(self.seats, 0)
        self._play()

    def _play(self) -> None:
        joined = sorted((self.draw.uniform(0.0, 0.5), user) for user in range(self.fans))
        for number, (t_join, user) in enumerate(joined):
            self._queue(user, number, t_join)
        for number, (_, user) in enumerate(joined):
            self._buy(user, number)
        self._follow()
        self._look()
        self._come_to_rest()
        self._probe()
        self._scrape()
        self._watch_generator()

    def _queue(self, user: int, number: int, t_s: float) -> None:
        fan = _fan(user)
        self.request(user, "queue_page", t_s, 0.004, t_intended_s=t_s - 0.001)
        took = self.draw.uniform(0.004, 0.02)
        join = {"position": number, "epoch": EPOCH, "parked": False}
        self.operation(user, "join", fan, join, t_s + 0.005, t_s + 0.005 + took)
        self.request(user, "join", t_s + 0.005, took, status=201)
        admitted = self._admitted_at(number)
        self.request(user, "positions", t_s + 0.05, max(admitted - t_s, 0.1), first_byte_s=0.006)
        self.event(user, "positions", "connect", t_s + 0.05)
        self._position(user, t_s + 0.06, number)
        looks = itertools.takewhile(lambda at_s: at_s < admitted, itertools.count(t_s + LOOKED_UP_S, LOOKED_UP_S))
        more = ((t_s + admitted) / 2, admitted - 0.25) if number > 5 else ()
        for told_s in sorted({*looks, *more}):
            self._position(user, told_s, max(1, number - sum(self._admitted_at(n) <= told_s for n in range(number))))
        if number % 6 == 0 and number:
            self.event(user, "positions", "connect", (t_s + admitted) / 2 + 0.05, EPOCH, 2)
        self.event(user, "positions", "admitted", admitted, EPOCH)
        self.request(user, "enter", admitted + 0.01, 0.008)
        self.operation(user, "enter", fan, {"admission_no": number + 1}, admitted + 0.01, admitted + 0.018)

    def _position(self, user: int, t_s: float, position: int) -> None:
        self.event(user, "positions", "position", t_s, epoch=EPOCH, value=position, t_sent_s=t_s - 0.01)

    def _admitted_at(self, number: int) -> float:
        return 1.0 + number / self.admission_rate_per_s

    def _buy(self, user: int, number: int) -> None:
        t_s = self._admitted_at(number) + 0.1
        self.request(user, "seat_map", t_s, 0.03, response_bytes=9000)
        self._looks.append((user, t_s))
        t_s += self.draw.uniform(0.3, 1.5)
        seats = self._pick(self.draw.choice((1, 2, 2, 4)), t_s)
        hold_id = f"hold-{user:04d}"
        if not seats:
            self.request(user, "hold", t_s, 0.01, status=409)
            self.operation(user, "hold", "", {"seats": [self.seats[0]]}, t_s, t_s + 0.01, "fail", "conflict")
            return
        if self._during("redis-down", t_s):
            self._put_back(seats, t_s)
            self.request(user, "hold", t_s, 0.002, status=503, outcome="fail", error="status")
            self.operation(user, "hold", "", {"seats": seats}, t_s, t_s + 0.002, "fail", "status")
            return
        took = self.draw.uniform(0.003, 0.03)
        self.request(user, "hold", t_s, took, status=201)
        self.operation(user, "hold", hold_id, {"seats": seats, "ttl_s": HOLD_TTL_S}, t_s, t_s + took)
        self._change(seats, 1, t_s + took / 2)
        self._decide(user, number, hold_id, seats, t_s + took)

    def _decide(self, user: int, number: int, hold_id: str, seats: list[str], t_s: float) -> None:
        """Pay, change one's mind, or walk away and let the hold run out.

        The second and the third in line do that and look again, and nobody wants their seats any more.
        """
        if number in (1, 2):
            self._change(seats, 0, t_s + HOLD_TTL_S + 0.3)
            self._looks.append((user, t_s + HOLD_TTL_S + 2.5))
            return
        mind = self.draw.random()
        if mind < 0.05:
            self._put_back(seats, t_s + HOLD_TTL_S + 0.3)
        elif mind < 0.08:
            self.request(user, "release", t_s + 0.5, 0.005, status=204)
            self.operation(user, "release", hold_id, {"seats": seats}, t_s + 0.5, t_s + 0.505)
            self._put_back(seats, t_s + 0.502)
        else:
            self._pay(user, hold_id, seats, t_s + self.draw.uniform(0.3, 2.0), declined=mind < 0.11)

    def _pay(self, user: int, hold_id: str, seats: list[str], t_s: float, *, declined: bool) -> None:
        key, order_id = f"key-{user:04d}", f"order-{user:04d}"
        value: Row = {"hold_id": hold_id, "seats": seats, "shown_cents": 5000 * len(seats)}
        if declined:
            self.request(user, "pay", t_s, 0.08, status=402)
            value |= {"order_id": order_id, "declined_on_purpose": True}
            self.operation(user, "pay", key, value, t_s, t_s + 0.08, "fail", "declined")
            self._put_back(seats, t_s + 0.07)
            self.order(user, order_id, key, seats, "declined", ("decline",))
            return
        slow = self._during("payment-latency-8s", t_s) or self._during("db-unreachable", t_s)
        took = 2.0 if slow else self.draw.uniform(0.07, 0.2)
        value |= {"order_id": order_id, "amount_cents": 5000 * len(seats), "state": "pending" if slow else "confirmed"}
        self.request(user, "pay", t_s, took, status=202 if slow else 201)
        self.operation(user, "pay", key, value, t_s, t_s + took)
        settled = (slow + 0.5) if slow else t_s + took - 0.01
        self._change(seats, 2, settled)
        self.order(user, order_id, key, seats, "confirmed", ("capture",))
        if slow:
            shown: Row = {"state": "confirmed", "seats": seats, "amount_cents": 5000 * len(seats)}
            self.request(user, "order", settled + 0.2, 0.01)
            self.operation(user, "order", order_id, shown, settled + 0.2, settled + 0.21)

    def order(self, user: int, order_id: str, key: str, seats: list[str], state: str, entries: Iterable[str]) -> None:
        """Append an order to the export, a row per seat, and its entries to the provider's ledger."""
        for seat in seats:
            row: Row = {"order_id": order_id, "fan": _fan(user), "seat": seat, "state": state}
            self.tables["final_orders"].append(row | {"amount_cents": 5000, "idempotency_key": key})
        for entry in entries:
            row = {"charge_id": f"charge-{user:04d}", "idempotency_key": f"p-{key}", "order_id": order_id}
            self.tables["final_ledger"].append(row | {"entry": entry, "amount_cents": 5000 * len(seats)})

    def _pick(self, count: int, t_s: float) -> list[str]:
        back = [seat for freed_s, seat in self._freed if freed_s < t_s][:count]
        self._freed = [entry for entry in self._freed if entry[1] not in back]
        fresh = [self._unused.pop() for _ in range(min(count - len(back), len(self._unused)))]
        return back + fresh

    def _put_back(self, seats: list[str], t_s: float) -> None:
        self._change(seats, 0, t_s)
        self._freed += [(t_s, seat) for seat in seats]

    def _change(self, seats: list[str], state: int, t_s: float) -> None:
        self.changes += [(t_s, seat, state) for seat in seats]

    def _during(self, experiment: str, t_s: float) -> float:
        """The end of the experiment's window if `t_s` falls into it, else 0."""
        return next((end for name, _, _, start, end in self.windows if name == experiment and start <= t_s < end), 0.0)

    def _follow(self) -> None:
        self.changes.sort()
        dropped = next((start for name, _, _, start, _ in self.windows if name == "websocket-drops"), None)
        for number in range(self.spectators):
            user = self.fans + number
            t_connect = -1.0 + 0.1 * number
            self.request(user, "feed", t_connect, 0.01, method="WS", status=101)
            self.event(user, "feed", "connect", t_connect)
            self.event(user, "feed", "snapshot", t_connect + 0.01, epoch=EPOCH, seq=0, value=0)
            back = dropped + 0.7 if dropped is not None and number % 2 else None
            for seq, (t_s, seat, state) in enumerate(self.changes, start=1):
                if back and dropped and t_s >= dropped:
                    self._reconnect(user, seq - 1, dropped, back)
                    back = None
                t_seen = max(t_s + 0.02, self._last_seen(user) + 0.001)
                self.event(user, "feed", "seat", t_seen, EPOCH, seq, state, seat, t_sent_s=t_s)
            if back and dropped:
                self._reconnect(user, len(self.changes), dropped, back)

    def _look(self) -> None:
        """Everybody's look at the seat map: the seats as they are in that moment."""
        states, at, noted = dict.fromkeys(self.seats, 0), 0, set()
        for user, t_s in sorted(self._looks, key=lambda look: look[1]):
            while at < len(self.changes) and self.changes[at][0] <= t_s:
                states[self.changes[at][1]] = self.changes[at][2]
                at += 1
            self.look(user, t_s, "".join(map(str, states.values())), noted)

    def look(self, user: int, t_s: float, states: str, noted: set[str], *, stale: bool = False) -> Row:
        """Append one look at a map with these states, of `seats` in order; `noted`: what a worker saw before."""
        layout, shown = digest("\n".join(self.seats)), digest(states)
        value: Row = {"free": states.count("0"), "stale": stale, "map": f"{layout}-{shown}"}
        if layout not in noted:
            value["layout"] = pack_names(self.seats)
        if shown not in noted:
            value["states"] = pack(states)
        noted |= {layout, shown}
        return self.operation(user, "look", "", value, t_s, t_s + 0.03)

    def _reconnect(self, user: int, seq: int, t_drop_s: float, t_back_s: float) -> None:
        self.event(user, "feed", "disconnect", max(t_drop_s, self._last_seen(user)), key="reset")
        self.request(user, "feed", t_back_s, 0.01, method="WS", status=101, attempt=2)
        self.event(user, "feed", "connect", t_back_s, EPOCH, seq)

    def _last_seen(self, user: int) -> float:
        events = self.tables["events"]
        return float(str(events[-1]["t_s"])) if events and events[-1]["user"] == user else 0.0

    def _come_to_rest(self) -> None:
        for _, seat, state in self.changes:
            self._state[seat] = state
        self.tables["final_seats"] += [{"seat": seat, "state": STATES[state]} for seat, state in self._state.items()]
        for seat, state in self._state.items():
            if state == 0:
                t_s = self.duration_s + 10
                self.operation(self.fans, "sweep", seat, {}, t_s, t_s + 0.01, actor="sweep")
        for seat in [seat for seat, state in self._state.items() if state == 2][:6]:
            t_s = self.duration_s + 10
            self.operation(self.fans, "sweep", seat, {}, t_s, t_s + 0.01, "fail", "conflict", actor="sweep")

    def _probe(self) -> None:
        """Somebody tries to get past the queue, or too many seats, and is turned away; a payment is posted again."""
        t_s = self.duration_s + 20
        for way in ("no pass", "tampered pass"):
            self.operation(self.fans, "probe", way, {"seats": []}, t_s, t_s + 0.01, "fail", "status", actor="prober")
        many: Row = {"seats": self.seats[:5]}
        self.operation(self.fans, "hold", "", many, t_s, t_s + 0.01, "fail", "limit", actor="greedy")
        paid = [op for op in self.tables["operations"] if op["function"] == "pay" and op["outcome"] == "ok"]
        for op in paid[-1:]:
            self.operation(0, "pay", str(op["key"]), self._told(op), t_s, t_s + 0.1, actor=str(op["actor"]))
            seat = self._told(op)["seats"][0]
            self.operation(self.fans, "sweep", seat, {}, t_s + 1, t_s + 1.01, "fail", "conflict", actor="sweep")
        for op in paid:
            self.look_at_rest(op)

    def look_at_rest(self, pay: Row) -> None:
        """The fan of a payment reads the order, which was confirmed, after settling."""
        told, t_s = self._told(pay), self.duration_s + 5
        shown: Row = {"state": "confirmed", "seats": told["seats"], "amount_cents": told["amount_cents"]}
        self.operation(0, "order", told["order_id"], shown, t_s, t_s + 0.01, actor=str(pay["actor"]))

    def _told(self, pay: Row) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(str(pay["value"]))
        return told | {"state": "confirmed"}

    def _scrape(self) -> None:
        for tick in range(int(self.duration_s * 2)):
            t_s = tick / 2
            waiting = max(0.0, self.fans - t_s * self.admission_rate_per_s)
            self.metric(t_s, "worker", "target_queue_depth", waiting)
            self.metric(t_s, "worker", "target_replica_lag_seconds", 0.05)
            self.metric(t_s, "worker", "target_admissions_total", self.fans - waiting)
            self.metric(t_s, "feed-1", "target_websocket_connections", float(self.spectators))
            for dependency, experiment in (("redis", 0), ("db", 1), ("payments", 2)):
                name = PLANNED[experiment][0]
                state = 2.0 if self._during(name, t_s - 0.5) else 0.0
                self.metric(t_s, "booking", "target_breaker_state", state, f"dependency={dependency}")
            for outcome, share in (("hit", 9), ("miss", 1)):
                self.metric(
                    t_s, "booking", "target_cache_requests_total", share * t_s, f"cache=sections,outcome={outcome}"
                )
            for edge, share in (("0.005", 90), ("0.01", 99), ("+Inf", 100)):
                self.metric(t_s, "booking", "target_db_write_seconds_bucket", share * t_s, f"le={edge}")

    def _watch_generator(self) -> None:
        for second in range(-2, int(self.duration_s)):
            sent = sum(1 for row in self.tables["requests"] if float(str(row["t_start_s"])) < second)
            row: Row = {"worker": 0, "t_s": float(second), "loop_lag_ms_max": 6.0, "loop_lag_ms_p99": 3.0}
            row |= {"cpu_percent": 40.0, "rss_bytes": 90_000_000, "fds": 120, "fds_limit": 4096}
            self.tables["generator"].append(row | {"users": self.fans + self.spectators, "samples": sent})

    def request(
        self, user: int, step: str, t_start_s: float, took_s: float, *, t_intended_s: float | None = None,
        first_byte_s: float | None = None, method: str = "GET", status: int = 200, outcome: str = "ok",
        error: str = "", response_bytes: int = 200, attempt: int = 1, actor: str = "", op: int | None = None,
    ) -> Row:  # fmt: skip
        """Append one request and return its row."""
        rows = self.tables["requests"]
        row: Row = {"seq": len(rows), "worker": 0, "user": user, "kind": self._kind(user)}
        row |= {"actor": actor or self._actor(user), "op": op}
        row |= {"step": step, "method": method, "t_start_s": t_start_s, "t_end_s": t_start_s + took_s, "status": status}
        row |= {"t_intended_s": t_start_s if t_intended_s is None else t_intended_s, "outcome": outcome, "error": error}
        row |= {"t_first_byte_s": t_start_s + (took_s if first_byte_s is None else first_byte_s)}
        row |= {"response_bytes": response_bytes, "attempt": attempt}
        rows.append(row)
        return row

    def operation(
        self, user: int, function: str, key: str, value: Row, t_invoke_s: float, t_complete_s: float | None,
        outcome: str = "ok", error: str = "", *, actor: str = "", identity: str = "", retry_of: int | None = None,
        t_intended_s: float | None = None,
    ) -> Row:  # fmt: skip
        """Append one operation and return its row."""
        rows = self.tables["operations"]
        if function == "hold" and outcome == "ok":
            value = {"asked": value.get("seats", []), **value}
        row: Row = {
            "op": len(rows),
            "worker": 0,
            "actor": actor or _fan(user),
            "identity": identity or actor or _fan(user),
        }
        row |= {"function": function, "key": key, "value": json.dumps(value), "t_invoke_s": t_invoke_s}
        row |= {"t_complete_s": t_complete_s, "outcome": outcome, "error": error, "retry_of": retry_of}
        row |= {"t_intended_s": t_invoke_s if t_intended_s is None else t_intended_s}
        rows.append(row)
        return row

    def event(
        self, user: int, stream: str, event: str, t_s: float, epoch: str = "", seq: int | None = None,
        value: int | None = None, key: str = "", *, t_sent_s: float | None = None,
    ) -> Row:  # fmt: skip
        """Append one stream event and return its row."""
        row: Row = {"worker": 0, "user": user, "kind": self._kind(user), "actor": self._actor(user)}
        row |= {"stream": stream, "event": event, "t_s": t_s}
        row |= {"t_sent_s": t_sent_s, "epoch": epoch, "seq": seq, "value": value, "key": key}
        self.tables["events"].append(row)
        return row

    def _kind(self, user: int) -> str:
        return "fan" if user < self.fans else "spectator"

    def _actor(self, user: int) -> str:
        return _fan(user) if user < self.fans else f"spectator-{user:04d}"

    def metric(self, t_s: float, source: str, name: str, value: float, labels: str = "") -> None:
        """Append one scraped sample."""
        row: Row = {"t_s": t_s, "source": source, "name": name, "labels": labels, "value": value}
        self.tables["metrics"].append(row)


def _fan(user: int) -> str:
    return f"fan-{user:04d}"
