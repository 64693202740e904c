"""What a platform offers to fans: which steps of the journey there are. From its capabilities and declared rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from harness.platform import Capability
from harness.scenario import Scenario
from harness.swarm.users.plan import FanPlan

_SEATS_MAX: Final = 16  # in one hold of the reference system


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. The defaults are the reference system's.

    `limit`: tickets that one order may have, where the platform's own rules say so; 0: nobody said. Identities that
    several fans share are known to the reference system only; elsewhere each fan has an account of their own. There,
    and where an identity gets one place in the queue, whoever goes over the limit asks for too many at once.
    `shared_limit`: tickets that such an identity may have: one of the pair who share it asks for as many, the other for
    one, so that a limit shows that is too high by one; 0: nobody said.
    `repeats_entry`: who comes in a second time, as after a lost answer, gets the same answer again.
    """

    has_queue: bool = True
    has_seats: bool = True
    has_stock: bool = False
    keeps_nothing: bool = False
    takes_back: bool = True
    shows_orders: bool = True
    shares_identities: bool = True
    repeats_entry: bool = True
    one_place_each: bool = False
    limit: int = 0
    shared_limit: int = 0
    standing_ratio: float = 0.0

    @classmethod
    def of(cls, capabilities: Collection[Capability], scenario: Scenario) -> Offer:
        """What this platform offers in this scenario."""
        own = scenario.platform
        one_place_each = own is None and scenario.on_sale.places_per_identity == 1
        return cls(
            has_queue=Capability.QUEUE in capabilities,
            has_seats=Capability.SEATS in capabilities,
            has_stock=Capability.STOCK in capabilities,
            keeps_nothing=Capability.NO_HOLD in capabilities,
            takes_back=Capability.HOLD_RELEASE in capabilities,
            shows_orders=Capability.LOOKUP in capabilities,
            shares_identities=own is None,
            repeats_entry=own is None,
            one_place_each=one_place_each,
            limit=own.rules.tickets_at_once if own else scenario.on_sale.purchase_limit if one_place_each else 0,
            shared_limit=0 if own or one_place_each else min(scenario.on_sale.purchase_limit, _SEATS_MAX),
            standing_ratio=scenario.load.journey.standing_ratio,
        )

    def sells_standing_to(self, plan: FanPlan) -> bool:
        """Whether this fan goes for tickets of a pool."""
        return self.has_stock and (not self.has_seats or plan.stands(self.standing_ratio))

    def identity_of(self, plan: FanPlan) -> str:
        """Who the platform takes the fan for."""
        alone = not self.shares_identities or (self.one_place_each and plan.goes_over_limit)
        return plan.actor if alone else plan.identity

    def first_wish(self, plan: FanPlan) -> int:
        """How many tickets the fan asks for first."""
        if not plan.goes_over_limit:
            return plan.party_size
        if self.limit:
            return self.limit + 1
        return 1 if plan.wants_one_more and self.shared_limit else self.shared_limit or plan.party_size


REFERENCE = Offer()
