"""A record's seats as register histories for `main.go`. It reads the tables itself, without harness/audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.record.reader import Record

Row = dict[str, object]
NEVER_NS = 1 << 60
_LONG_AGO_NS = -(1 << 60)
_FINAL = ("declined", "expired")


def histories(record: Record) -> dict[str, list[Row]]:
    """Seat → its operations, see `Op` in main.go."""
    export = _Export(record)
    seats: dict[str, list[Row]] = {}
    for seat, op in export.operations():
        seats.setdefault(seat, []).append(op)
    return seats


@dataclass
class _Sale:
    """An order that is confirmed in the end; when it was told first, and to whom."""

    fan: str
    seats: tuple[str, ...]
    claim: str = ""
    call_ns: int = _LONG_AGO_NS
    return_ns: int = NEVER_NS


@dataclass
class _Export:
    """One record on its way to registers."""

    record: Record
    rows: list[Row] = field(init=False)
    order_rows: dict[str, list[Row]] = field(default_factory=dict)
    id_of_key: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = ("hold", "release", "pay", "order", "sweep")
        self.rows = [
            row | {"value": json.loads(row["value"])}
            for row in self.record.table("operations").to_pylist()
            if row["function"] in wanted
        ]
        self.rows.sort(key=lambda row: row["t_invoke_s"])
        self.has_export = self.record.has("final_orders")
        for row in self.record.table("final_orders").to_pylist() if self.has_export else ():
            self.order_rows.setdefault(row["order_id"], []).append(row)
            self.id_of_key[row["idempotency_key"]] = row["order_id"]

    def operations(self) -> Iterator[tuple[str, Row]]:
        """(seat, operation)."""
        ended = list(self._ended())
        first_end_ns: dict[str, int] = {}
        for claim, _, op in ended:
            if op["kind"] == "give_back":
                first_end_ns[claim] = min(int(str(op["call"])), first_end_ns.get(claim, NEVER_NS))
        for row in self._of("hold"):
            if row["outcome"] == "ok":
                yield from self._granted(row, first_end_ns.get(str(row["key"]), NEVER_NS))
        for row in self._of("sweep"):
            if row["outcome"] == "ok":
                yield str(row["key"]), _op("touch", row, claim=f"sweep of {row['key']}")
        for _, seats, op in ended:
            for seat in seats:
                yield seat, op
        for order, sale in self._sales().items():
            times = {"call": sale.call_ns, "return": sale.return_ns, "until": 0}
            for seat in sale.seats:
                yield seat, {"kind": "sale", "fan": sale.fan, "claim": sale.claim, "order": order, **times}

    def _of(self, function: str) -> Iterator[Row]:
        return (row for row in self.rows if row["function"] == function)

    def _granted(self, row: Row, end_ns: int) -> Iterator[tuple[str, Row]]:
        """A grant that its fan heard of in time is a promise; any other only shows that the seat was not sold."""
        ttl_s = row["value"].get("ttl_s")
        until_ns = _ns(row["t_invoke_s"] + ttl_s) if ttl_s is not None else _LONG_AGO_NS
        promised = min(until_ns, end_ns) > _ns(row["t_complete_s"])
        kind = "hold" if promised else "touch"
        for seat in row["value"]["seats"]:
            yield seat, _op(kind, row, claim=row["key"]) | {"until": until_ns}

    def _ended(self) -> Iterator[tuple[str, list[str], Row]]:
        """(hold, seats, operation) of whatever ended a hold, or told its fan that it is over."""
        for row in self._of("release"):
            if row["outcome"] in ("ok", "unknown"):
                yield row["key"], row["value"]["seats"], _op("give_back", row, claim=row["key"]) | {"return": NEVER_NS}
            elif row["error"] == "expired":
                yield row["key"], row["value"]["seats"], _op("gone", row, claim=row["key"])
        bought = self._bought()
        for row in self._of("pay"):
            if row["key"] not in bought:
                yield from self._unpaid(row)

    def _unpaid(self, row: Row) -> Iterator[tuple[str, list[str], Row]]:
        claim, seats = row["value"]["hold_id"], row["value"]["seats"]
        if row["error"] == "expired" and self.has_export and row["key"] not in self.id_of_key:
            told = _op("gone", row, claim=claim)
            yield claim, seats, told
            yield claim, seats, told | {"kind": "give_back", "call": told["return"] + 1, "return": NEVER_NS}
        elif row["outcome"] != "fail" or row["error"] in _FINAL:
            yield claim, seats, _op("give_back", row, claim=claim) | {"return": NEVER_NS}

    def _bought(self) -> set[str]:
        """Keys of payments that came to a confirmed order."""
        told = {row["key"] for row in self._of("order") if row["value"].get("state") == "confirmed"}
        bought = set()
        for row in self._of("pay"):
            order = self._order_of(row["value"].get("order_id", ""), row["key"])
            acked = row["outcome"] == "ok" and row["value"].get("state") == "confirmed"
            looked_up = row["outcome"] == "ok" and row["value"].get("order_id") in told
            if self._confirmed(order) if order else (acked or looked_up):
                bought.add(row["key"])
        return bought

    def _sales(self) -> dict[str, _Sale]:
        sales = {
            order: _Sale(rows[0]["fan"], tuple(row["seat"] for row in rows))
            for order, rows in self.order_rows.items()
            if self._confirmed(order)
        }
        for row in self.rows:
            value = row["value"]
            told = row["outcome"] == "ok" and value.get("state") == "confirmed"
            if row["function"] not in ("pay", "order"):
                continue
            order_id = value.get("order_id", "") if row["function"] == "pay" else row["key"]
            key = row["key"] if row["function"] == "pay" else ""
            order = self._order_of(order_id, key)
            name = order or order_id or key
            if told and (order is None or self._confirmed(order)):
                sale = sales.setdefault(name, _Sale(row["actor"], tuple(value["seats"])))
                if _ns(row["t_complete_s"]) < sale.return_ns:
                    sale.fan, sale.return_ns = row["actor"], _ns(row["t_complete_s"])
                    sale.claim = value.get("hold_id", sale.claim)
            if row["function"] == "pay" and name in sales:
                sales[name].claim = sales[name].claim or value["hold_id"]
        return sales

    def _order_of(self, order_id: str, key: str) -> str | None:
        """The exported order of that id, or of that key where the fan was given no id."""
        name = order_id or self.id_of_key.get(key, "")
        return name if name in self.order_rows else None

    def _confirmed(self, order: str) -> bool:
        return all(row["state"] == "confirmed" for row in self.order_rows[order])


def _op(kind: str, row: Row, *, claim: str) -> Row:
    complete_s = row["t_complete_s"]
    end_ns = NEVER_NS if complete_s is None else _ns(complete_s)
    call_ns = _ns(row["t_invoke_s"])
    return {
        "kind": kind,
        "fan": row["actor"],
        "claim": claim,
        "order": "",
        "call": call_ns,
        "return": end_ns,
        "until": 0,
    }


def _ns(t_s: float) -> int:
    return round(t_s * 1e9)
