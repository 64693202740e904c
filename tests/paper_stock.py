"""A small sale of tickets without seats played on paper: a shop of somebody's own, with pools, and no queue."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from harness.record.paths import RunPaths
from harness.record.schema import Function
from harness.scenario import Load, Objective, OwnPlatform, Rules, Scenario
from tests.builders import RunBuilder
from tests.paper_sale import HOLD_TTL_S, Row

CAPABILITIES = ("hold_release", "ledger_export", "lookup", "order_export", "same_key", "stock")
PRICES = {"floor": 4500, "stand": 3000}
OBJECTIVES = {
    "checkout_completion_ratio": Objective(target=0.5, worst=0.2),
    "stock_response_p95_ms": Objective(target=500.0, worst=3000.0),
    "hold_response_p95_ms": Objective(target=500.0, worst=5000.0),
    "pay_response_p95_ms": Objective(target=2500.0, worst=10000.0),
}
LIMIT = 4


@dataclass
class StockSale(RunBuilder):
    """The run directory of one sale of pools. `stock`: what is on sale of each, fewer than the fans want."""

    fans: int = 40
    spectators: int = 0
    faulty: bool = False
    capabilities: tuple[str, ...] = CAPABILITIES
    stock: dict[str, int] = field(default_factory=lambda: {"floor": 30, "stand": 20})
    _held: dict[str, int] = field(default_factory=dict, repr=False)
    _freed: list[tuple[float, str, int]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.changed(stack="platform", seat_map_at_rest=None, processes=())

    def scenario(self) -> Scenario:
        """The scenario of a platform of one's own."""
        return Scenario(
            name="little-shop",
            description="A small sale of pools on paper.",
            seed=self.seed,
            duration_s=self.duration_s,
            platform=OwnPlatform(
                adapter="myshop.py:MyShop",
                url="http://127.0.0.1:8000/onsale/finals",
                baseline="read",
                rules=Rules(stock=dict(self.stock), purchase_limit=LIMIT, hold_ttl_s=HOLD_TTL_S),
                names={"seat": "ticket", "hold": "basket"},
            ),
            load=Load(fans=self.fans, spectators=0, probes=0),
            objectives=OBJECTIVES,
        )

    def _play(self) -> None:
        self._left = dict(self.stock)
        self.tables["baseline_stock"] += [_pool(pool, free, 0, 0) for pool, free in self.stock.items()]
        for user in range(self.fans):
            self._visit(user, 0.2 + 0.3 * user)
        self._too_many()
        self._rest()
        self._watch_generator()

    def _visit(self, user: int, t_s: float) -> None:
        for freed in [one for one in self._freed if one[0] < t_s]:
            self._freed.remove(freed)
            self._left[freed[1]] += freed[2]
        self.request(user, "queue_page", t_s, 0.02, t_intended_s=t_s - 0.001)
        t_s += 0.1
        free: dict[str, int | None] = dict(self._left)
        self.request(user, "stock", t_s, 0.03)
        self.operation(user, "stock", "", {"pools": free, "prices_cents": PRICES}, t_s, t_s + 0.03)
        pool, quantity = self.draw.choice(sorted(self.stock)), self.draw.choice((1, 2, 2, 4))
        t_s += self.draw.uniform(0.1, 0.3)
        hold_id, took = f"basket-{user:04d}", self.draw.uniform(0.01, 0.05)
        asked: Row = {"pool": pool, "quantity": quantity}
        if self._left[pool] < quantity:
            self.request(user, "hold", t_s, took, status=409)
            self.operation(user, "hold", "", asked, t_s, t_s + took, "fail", "conflict")
            return
        self._left[pool] -= quantity
        self.request(user, "hold", t_s, took, status=201)
        granted = asked | {"granted": quantity, "ttl_s": HOLD_TTL_S}
        self.operation(user, "hold", hold_id, granted, t_s, t_s + took)
        mind = self.draw.random()
        if user and (user in (1, 2) or mind < 0.1):
            self._leave(user, hold_id, pool, quantity, t_s + 0.5, releases=user == 1)
        else:
            self.buy(user, hold_id, pool, quantity, t_s + took + self.draw.uniform(0.1, 0.4), twice=user % 7 == 0)

    def _leave(self, user: int, hold_id: str, pool: str, quantity: int, t_s: float, *, releases: bool) -> None:
        """Give the basket back, or let it run out: then its tickets are free again."""
        self._freed.append((t_s + (0.01 if releases else HOLD_TTL_S), pool, quantity))
        if releases:
            self.request(user, "release", t_s, 0.01, status=204)
            self.operation(user, "release", hold_id, {"pool": pool, "quantity": quantity}, t_s, t_s + 0.01)

    def buy(self, user: int, hold_id: str, pool: str, quantity: int, t_s: float, *, twice: bool = False) -> None:
        """Pay for a basket, perhaps twice under one key, and look the order up."""
        key, order_id, cents = f"key-{user:04d}", f"order-{user:04d}", PRICES[pool] * quantity
        asked: Row = {"hold_id": hold_id, "pool": pool, "quantity": quantity, "shown_cents": cents}
        told: Row = asked | {"order_id": order_id, "amount_cents": cents, "state": "confirmed", "bought": quantity}
        self.request(user, "pay", t_s, 0.12, status=201)
        self.operation(user, "pay", key, told, t_s, t_s + 0.12)
        if twice:
            self.operation(user, "pay", key, told, t_s + 0.13, t_s + 0.2)
        self.sold(user, order_id, key, pool, quantity, cents)
        for at_s in (t_s + 0.5, self.duration_s + 2.0):
            shown: Row = {"state": "confirmed", "pool": pool, "quantity": quantity, "amount_cents": cents}
            self.operation(user, "order", order_id, shown, at_s, at_s + 0.02)
        self.request(user, "order", t_s + 0.5, 0.02)

    def sold(self, user: int, order_id: str, key: str, pool: str, quantity: int, cents: int) -> None:
        """A confirmed order in the export, and its capture."""
        row: Row = {"order_id": order_id, "fan": f"fan-{user:04d}", "seat": "", "pool": pool, "quantity": quantity}
        row |= {"state": "confirmed", "amount_cents": cents, "idempotency_key": key}
        self.tables["final_orders"].append(row)
        entry: Row = {"charge_id": f"charge-{order_id}", "idempotency_key": f"p-{key}", "order_id": order_id}
        self.tables["final_ledger"].append(entry | {"entry": "capture", "amount_cents": cents})

    def _too_many(self) -> None:
        """Somebody asks for more than anybody may have, and is refused."""
        many: Row = {"pool": "stand", "quantity": LIMIT + 1}
        self.operation(self.fans, "hold", "", many, 1.0, 1.1, "fail", "limit", actor="greedy")

    def _rest(self) -> None:
        for pool, declared in self.stock.items():
            rows = self.tables["final_orders"]
            sold = sum(int(str(row["quantity"])) for row in rows if row["pool"] == pool)
            self.tables["final_stock"].append(_pool(pool, declared - sold, 0, sold))

    # What can go wrong.

    def oversell(self) -> Self:
        """Sell what was sold already to one more fan, who was granted it meanwhile."""
        row = self.tables["final_orders"][-1]
        pool, quantity = str(row["pool"]), self.stock[str(row["pool"])]
        user = self.fans + 10
        granted: Row = {"pool": pool, "quantity": quantity, "granted": quantity, "ttl_s": HOLD_TTL_S}
        self.operation(user, "hold", f"basket-{user:04d}", granted, 14.0, 14.1)
        self.buy(user, f"basket-{user:04d}", pool, quantity, 14.3)
        self._settle(pool)
        return self.without_limit()

    def overbook(self) -> Self:
        """Grant a basket of everything to somebody while others have theirs, and let it run out."""
        user, pool = self.fans + 11, "floor"
        granted: Row = {"pool": pool, "quantity": self.stock[pool], "granted": self.stock[pool], "ttl_s": HOLD_TTL_S}
        self.operation(user, "hold", f"basket-{user:04d}", granted, 14.0, 14.1)
        return self.without_limit()

    def grant_part(self) -> Self:
        """Say yes to a fan for fewer than they asked for."""
        hold = next(op for op in self.tables["operations"] if op["function"] == Function.HOLD and op["outcome"] == "ok")
        value = json.loads(str(hold["value"]))
        hold["value"] = json.dumps(value | {"quantity": value["granted"] + 1})
        return self

    def sell_twice(self) -> Self:
        """Sell the same basket to its fan a second time, under a key of the platform's own."""
        row = self.tables["final_orders"][0]
        user = int(str(row["fan"]).removeprefix("fan-"))
        self.sold(user, "order-again", "", str(row["pool"]), int(str(row["quantity"])), int(str(row["amount_cents"])))
        self._settle(str(row["pool"]))
        return self

    def leak(self) -> Self:
        """Forget one ticket of a basket that ran out."""
        self.tables["final_stock"][0]["free"] = int(str(self.tables["final_stock"][0]["free"])) - 1
        return self

    def keep_held(self) -> Self:
        """Leave a ticket in a basket for ever."""
        row = self.tables["final_stock"][1]
        row |= {"free": int(str(row["free"])) - 1, "held": 1}
        return self

    def write(self, root: Path) -> RunPaths:
        """As ever; what broke the sale sent requests too."""
        return super(StockSale, self.changed(load=self._load())).write(root)

    def without_limit(self) -> Self:
        """No purchase limit is declared."""
        return self.ruled(purchase_limit=0)

    def ruled(self, **rules: object) -> Self:
        """With other rules."""
        scenario = dict(self.run.scenario)
        platform = dict(scenario["platform"])  # type: ignore[call-overload]
        platform["rules"] = {**platform["rules"], **rules}
        return self.changed(scenario={**scenario, "platform": platform})

    def _settle(self, pool: str) -> None:
        self.tables["final_stock"] = [row for row in self.tables["final_stock"] if row["pool"] != pool]
        sold = sum(int(str(row["quantity"])) for row in self.tables["final_orders"] if row["pool"] == pool)
        self.tables["final_stock"].append(_pool(pool, max(0, self.stock[pool] - sold), 0, sold))


@dataclass
class UnreservedSale(StockSale):
    """The same where choosing keeps nothing: who comes too late is refused when they buy."""

    capabilities: tuple[str, ...] = (*CAPABILITIES, "no_hold")

    def scenario(self) -> Scenario:
        """Without a time for which anything is kept."""
        scenario = super().scenario()
        assert scenario.platform is not None
        rules = msgspec.structs.replace(scenario.platform.rules, hold_ttl_s=None)
        platform = msgspec.structs.replace(scenario.platform, rules=rules)
        objectives = {name.replace("hold_response", "choose_response"): one for name, one in OBJECTIVES.items()}
        return msgspec.structs.replace(scenario, platform=platform, objectives=objectives)

    def _visit(self, user: int, t_s: float) -> None:
        self.request(user, "queue_page", t_s, 0.02, t_intended_s=t_s - 0.001)
        self.request(user, "stock", t_s + 0.1, 0.03)
        seen: Row = {"pools": dict(self._left), "prices_cents": PRICES}
        self.operation(user, "stock", "", seen, t_s + 0.1, t_s + 0.13)
        pool, quantity = self.draw.choice(sorted(self.stock)), self.draw.choice((1, 2, 2, 4))
        asked: Row = {"pool": pool, "quantity": quantity}
        self.request(user, "choose", t_s + 0.3, 0.04, status=201)
        self.operation(user, "choose", f"choice-{user:04d}", asked | {"granted": quantity}, t_s + 0.3, t_s + 0.34)
        if self._left[pool] >= quantity:
            self._left[pool] -= quantity
            self.buy(user, f"choice-{user:04d}", pool, quantity, t_s + 0.5, twice=user % 7 == 0)
            return
        paid: Row = asked | {"hold_id": f"choice-{user:04d}", "shown_cents": PRICES[pool] * quantity}
        self.request(user, "pay", t_s + 0.5, 0.12, status=409)
        self.operation(user, "pay", f"key-{user:04d}", paid, t_s + 0.5, t_s + 0.62, "fail", "conflict")

    def _too_many(self) -> None:
        many: Row = {"pool": "stand", "quantity": LIMIT + 1}
        self.operation(self.fans, "choose", "", many, 1.0, 1.1, "fail", "limit", actor="greedy")

    def oversell(self) -> Self:
        """Sell what was sold already to one more fan."""
        row = self.tables["final_orders"][-1]
        pool, quantity = str(row["pool"]), self.stock[str(row["pool"])]
        self.buy(self.fans + 10, "choice-late", pool, quantity, 14.3)
        self._settle(pool)
        return self.without_limit()


def _pool(pool: str, free: int, held: int, sold: int) -> Row:
    return {"pool": pool, "free": free, "held": held, "sold": sold}
