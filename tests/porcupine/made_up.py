"""Made-up seat histories: a register played with hidden instants of effect, and the same with one thing changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported

TTL_S = 3.0
_ENDS = (
    "abandons",
    "releases",
    "releases_unknown",
    "declined",
    "unknown_lost",
    "unknown_bought",
    "expired_order",
    "refunded",
    "pays_late",
    "pending_bought",
    "bought",
)


@dataclass
class Played:
    """One seat on its way through the hands of fans; `t_s` is the true time, `free_s` when it is free again."""

    builder: RunBuilder
    random: random.Random
    seat: str
    number: int
    t_s: float = 0.0
    fan: int = 0

    def play(self) -> None:
        """A few fans, one after the other, until one buys."""
        self.t_s = self.random.uniform(0.0, 2.0)
        for turn in range(self.random.randint(1, 5)):
            self.fan = self.number * 10 + turn
            if self.random.random() < 0.15:
                self._hold_unknown()
            elif self._turn(f"h-{self.number}-{turn}", f"o-{self.number}-{turn}"):
                self._ask_in_vain()
                return

    def _turn(self, hold_id: str, order: str) -> bool:
        """One fan's turn; True: bought."""
        effect_s = self.t_s + self.random.uniform(0.0, 1.0)
        invoke_s, told_s = self._around(effect_s)
        self.builder.operation(self.fan, "hold", hold_id, self._value(ttl_s=TTL_S), invoke_s, told_s)
        over_s, act_s = effect_s + TTL_S, told_s + self.random.uniform(0.05, 1.5)
        end = self.random.choice(_ENDS)
        self.t_s = over_s
        match end:
            case "releases":
                self._release(hold_id, act_s, "ok")
            case "releases_unknown":
                self._release(hold_id, act_s, "unknown")
            case "declined":
                self._pay(hold_id, order, act_s, "fail", "declined")
                exported(self.builder, self.fan, self.seat, order, "declined")
            case "unknown_lost":
                self._pay(hold_id, order, act_s, "unknown", "timeout")
            case "unknown_bought":
                self._pay(hold_id, order, act_s, "unknown", "timeout")
                exported(self.builder, self.fan, self.seat, order)
                return True
            case "expired_order":
                self._pay(hold_id, order, act_s, "fail", "expired")
                exported(self.builder, self.fan, self.seat, order, "expired")
            case "refunded":
                self._pay(hold_id, order, act_s, "ok", state="pending")
                exported(self.builder, self.fan, self.seat, order, "refunded")
            case "pays_late":
                self._pay(hold_id, order, over_s + self.random.uniform(0.0, 1.0), "fail", "expired")
            case "pending_bought":
                self._pay(hold_id, order, act_s, "ok", state="pending")
                exported(self.builder, self.fan, self.seat, order)
                if self.random.random() < 0.7:
                    told_s = self.t_s + self.random.uniform(0.1, 2.0)
                    self.builder.operation(
                        self.fan, "order", order, {"state": "confirmed", "seats": [self.seat]}, told_s - 0.05, told_s
                    )
                    self.t_s = told_s
                return True
            case "bought":
                self._pay(hold_id, order, act_s, "ok", state="confirmed")
                if self.random.random() < 0.9:
                    exported(self.builder, self.fan, self.seat, order)
                return True
        return False

    def _hold_unknown(self) -> None:
        """Nobody knows whether it took effect; here it did."""
        invoke_s = self.t_s + self.random.uniform(0.0, 0.5)
        self.builder.operation(self.fan, "hold", "", self._value(), invoke_s, None, "unknown", "timeout")
        self.t_s = invoke_s + 0.5 + TTL_S

    def _ask_in_vain(self) -> None:
        for asked in range(self.random.randint(0, 2)):
            invoke_s, told_s = self._around(self.t_s + 1.0 + asked)
            fan = self.number * 10 + 8 + asked
            self.builder.operation(fan, "hold", "", self._value(), invoke_s, told_s, "fail", "conflict")
        self.builder.operation(
            0, "sweep", self.seat, {}, self.t_s + 60.0, self.t_s + 60.1, "fail", "conflict", actor="operator"
        )

    def _release(self, hold_id: str, t_s: float, outcome: str) -> None:
        effect_s = t_s + self.random.uniform(0.0, 0.1)
        complete_s = None if outcome == "unknown" else effect_s + 0.05
        self.builder.operation(self.fan, "release", hold_id, self._value(), t_s, complete_s, outcome)
        self.t_s = effect_s

    def _pay(self, hold_id: str, order: str, t_s: float, outcome: str, error: str = "", state: str = "") -> None:
        effect_s = t_s + self.random.uniform(0.0, 0.3)
        complete_s = None if outcome == "unknown" else effect_s + 0.05
        value = self._value(hold_id=hold_id)
        if outcome == "ok":
            value |= {"order_id": order, "state": state}
        self.builder.operation(self.fan, "pay", f"k-{order}", value, t_s, complete_s, outcome, error)
        if error != "expired" or t_s < self.t_s:
            self.t_s = effect_s

    def _value(self, **more: object) -> dict[str, object]:
        return {"seats": [self.seat], **more}

    def _around(self, effect_s: float) -> tuple[float, float]:
        return effect_s - self.random.expovariate(8.0), effect_s + self.random.expovariate(8.0)


def clean(seats: int, seed: int) -> RunBuilder:
    """A record of so many seats, each played right."""
    builder = empty()
    draw = random.Random(seed)
    for number in range(seats):
        Played(builder, draw, f"S-{number}", number).play()
    return builder


def corrupted(seats: int, seed: int) -> RunBuilder:
    """The same with one operation, or one exported order, of each seat changed: some break the seat, some do not."""
    builder = clean(seats, seed)
    draw = random.Random(f"corrupt:{seed}")
    by_seat: dict[str, list[dict[str, object]]] = {}
    for row in builder.tables["operations"]:
        for seat in json.loads(str(row["value"])).get("seats") or [row["key"]]:
            by_seat.setdefault(str(seat), []).append(row)
    for rows in by_seat.values():
        draw.choice(_CORRUPTIONS)(draw.choice(rows), builder, draw)
    return builder


def _shift(row: dict[str, object], _: RunBuilder, draw: random.Random) -> None:
    by_s = draw.uniform(-6.0, 6.0)
    row["t_invoke_s"] = float(str(row["t_invoke_s"])) + by_s
    if row["t_complete_s"] is not None:
        row["t_complete_s"] = float(str(row["t_complete_s"])) + by_s


def _grant(row: dict[str, object], builder: RunBuilder, _: random.Random) -> None:
    """A refusal becomes a grant."""
    if row["function"] in ("hold", "sweep") and row["outcome"] == "fail":
        row |= {"outcome": "ok", "error": ""}
        if row["function"] == "hold":
            row["key"] = f"h-{row['op']}"
            row["value"] = json.dumps(json.loads(str(row["value"])) | {"ttl_s": TTL_S})


def _confirm(row: dict[str, object], builder: RunBuilder, _: random.Random) -> None:
    """A payment that came to nothing was acked."""
    if row["function"] == "pay":
        order = str(row["key"]).removeprefix("k-")
        row["value"] = json.dumps(json.loads(str(row["value"])) | {"order_id": order, "state": "confirmed"})
        complete_s = row["t_complete_s"] or float(str(row["t_invoke_s"])) + 0.2
        row |= {"outcome": "ok", "error": "", "t_complete_s": complete_s}
        for exported_row in builder.tables["final_orders"]:
            if exported_row["order_id"] == order:
                exported_row["state"] = "confirmed"


def _drop(row: dict[str, object], builder: RunBuilder, _: random.Random) -> None:
    """It never was known: a release or a payment is missing, the next grant comes out of the blue."""
    if row["function"] in ("release", "pay"):
        row |= {"outcome": "fail", "error": "status", "t_complete_s": row["t_complete_s"] or row["t_invoke_s"]}


def _another(row: dict[str, object], _: RunBuilder, draw: random.Random) -> None:
    """Somebody else did it."""
    row["actor"] = row["identity"] = f"fan-{draw.randrange(10**6):06d}-else"


def _longer(row: dict[str, object], _: RunBuilder, draw: random.Random) -> None:
    """A longer hold, or an answer that came later."""
    value = json.loads(str(row["value"]))
    if "ttl_s" in value:
        row["value"] = json.dumps(value | {"ttl_s": TTL_S + draw.uniform(0.5, 4.0)})
    elif row["t_complete_s"] is not None:
        row["t_complete_s"] = float(str(row["t_complete_s"])) + draw.uniform(0.0, 4.0)


def _told_gone(row: dict[str, object], _: RunBuilder, draw: random.Random) -> None:
    """A fan who gave seats back or paid is told that there is nothing to give back or to pay for."""
    if row["function"] in ("release", "pay"):
        complete_s = row["t_complete_s"] or float(str(row["t_invoke_s"])) + draw.uniform(0.0, 0.5)
        row |= {"outcome": "fail", "error": "expired", "t_complete_s": complete_s}


_CORRUPTIONS: tuple[Callable[[dict[str, object], RunBuilder, random.Random], None], ...] = (
    _shift,
    _shift,
    _grant,
    _confirm,
    _drop,
    _another,
    _longer,
    _told_gone,
)
