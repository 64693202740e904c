"""The base of an adapter for a platform of one's own: sessions, outcomes, operations, timing and final reads.

An adapter is a subclass that names its capabilities and its `Shopper`, and reads the operator's pages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import ClassVar, Final

from harness.adapter.browsing.browser import Browser
from harness.adapter.browsing.site import Site
from harness.adapter.errors import AdapterFault
from harness.adapter.people import people_of
from harness.adapter.running.at_rest import Operator, default_rest, is_an_actor, local_actor
from harness.adapter.running.feed import KitSpectator
from harness.adapter.running.session import KitSession
from harness.adapter.running.verbs import class_place
from harness.adapter.shopper import Shopper
from harness.adapter.values import ExportedOrder, Given, LedgerRow, PoolAtRest, SeatAtRest
from harness.errors import InputError
from harness.platform import AckedOrder, Addresses, FinalReads, Person, SpectatorSession
from harness.registry.capabilities import Capability
from harness.scenario import OwnPlatform, Tactic
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.shown_maps import ShownMaps
from harness.swarm.users.crashes import place_of

_SETTLING: Final = 1.75
_READS_S: Final = 5.0
"""The state at rest is read by so many times the time that it may take to come to rest, and so many seconds."""


class ShopPlatform:
    """The base of an adapter. A subclass names its capabilities and its `Shopper`, and reads the operator's pages.

    `api`, wherever it is given, is a browser of the operator's. `self.secrets` has tokens, `self.settings` and
    `self.rules` are the scenario's.
    """

    capabilities: Collection[str] = frozenset()
    """What the platform can show or do: a class attribute of the adapter."""
    shopper: ClassVar[type[Shopper]] = Shopper
    """The adapter's customers."""
    purchase_acts = 0  # see `harness.platform.LosesAnswers`

    def __init__(self, addresses: Addresses, recorder: Recorder) -> None:
        own = addresses.own or OwnPlatform(url=addresses.booking)
        self.capabilities = capabilities_of(type(self))
        self.site = Site(own)
        self.settings: Mapping[str, str | int | float | bool] = Given("platform.settings", own.settings)
        self.secrets: Mapping[str, str] = Given("platform.secrets", self.site.secrets)
        self.rules = own.rules
        self._people = people_of(addresses)
        self._recorder = recorder
        self._shown = ShownMaps()
        self._sessions: list[KitSession] = []
        self._before = FinalReads(at_rest=True)

    # What an adapter writes.

    def stock(self, api: Browser) -> Iterable[PoolAtRest]:
        """STOCK: every pool as the operator sees it."""
        raise NotImplementedError

    def seats(self, api: Browser) -> Iterable[SeatAtRest]:
        """SEATS: every seat's state."""
        raise NotImplementedError

    def orders(self, api: Browser) -> Iterable[ExportedOrder]:
        """ORDER_EXPORT: every order."""
        raise NotImplementedError

    def ledger(self, api: Browser) -> Iterable[LedgerRow]:
        """LEDGER_EXPORT: everything charged, refunded and declined."""
        raise NotImplementedError

    def at_rest(self, api: Browser) -> bool:
        """Whether nothing will change by itself any more. By itself: no order is pending, and nothing is held.

        What was pending or held before the release does not count.
        """
        orders = self.orders(api) if Capability.ORDER_EXPORT in self.capabilities else ()
        stock = self.stock(api) if Capability.STOCK in self.capabilities and self.shows("stock") else ()
        seats = self.seats(api) if Capability.SEATS in self.capabilities and self.shows("seats") else ()
        return default_rest(orders, stock, seats, self._before)

    def sweep_seats(self, api: Browser, seats: Sequence[str]) -> None:
        """SWEEP: hold and give back each of these seats."""
        raise NotImplementedError

    def let_in(self, api: Browser, shopper: Shopper) -> None:
        """PROBES: give this shopper what lets them past the queue."""
        raise NotImplementedError

    # What the swarm asks for.

    def fan_session(self, person: Person) -> KitSession:
        """A new fan."""
        keeps_nothing = Capability.NO_HOLD in self.capabilities
        shopper = self._new_shopper(person)
        session = KitSession(shopper, self._recorder, self._shown, self.purchase_acts, keeps_nothing=keeps_nothing)
        self._sessions.append(session)
        return session

    def bot_session(self, person: Person, tactic: Tactic) -> KitSession:  # noqa: ARG002 - a tactic is the queue's own
        """A bot: a customer in a hurry."""
        return self.fan_session(person)

    def spectator_session(self, person: Person) -> SpectatorSession:
        """A new spectator, with FEED."""
        return KitSpectator(self._new_shopper(person), self._recorder)

    def probe_session(self, person: Person) -> KitSession | None:
        """A customer whom the operator lets past the queue; null without PROBES."""
        if Capability.PROBES not in self.capabilities:
            return None
        session = self.fan_session(person)
        self.let_in(self.browser_of(person), session.shopper)
        return session

    def final_reads(self, acked: Sequence[AckedOrder], timeout_s: float) -> FinalReads:
        """The state at rest."""
        return Operator(self, monotonic() + _SETTLING * timeout_s + _READS_S).read(acked, timeout_s)

    def leave_out(self, before: FinalReads) -> None:
        """What was pending and held before the release is no unrest."""
        self._before = before

    def look_up_orders(self, acked: Sequence[AckedOrder]) -> tuple[str, ...]:
        """Look up these orders, each with the browser of its fan. Returns notes on what could not be."""
        return Operator(self).look_up(acked)

    def reads_now(self) -> FinalReads:
        """The state as it is, e.g. before the release."""
        return Operator(self).now()

    def sweep(self, seats: Sequence[str]) -> None:
        """Hold and release each of these seats."""
        Operator(self).sweep(seats)

    # What the kit's own parts ask for.

    def browser_of(self, person: Person) -> Browser:
        """A new browser."""
        return Browser(self.site, self._recorder, person)

    def session_that_bought(self, order_id: str) -> KitSession | None:
        """The session of this process that was told of the order."""
        return next((session for session in self._sessions if order_id in session.orders), None)

    def orders_of_this_process(self) -> set[str]:
        """All that the sessions of this process were told of."""
        return {order_id for session in self._sessions for order_id in session.orders}

    def actor_of(self, fan: str) -> str:
        """The actor whom an operator's page calls that; "" when it is nobody's name here."""
        return local_actor(fan) or self._people.actor_of(fan) or (fan if is_an_actor(fan) else "")

    @property
    def people_count(self) -> int:
        """How many rows the people file has."""
        return len(self._people)

    @property
    def recorder(self) -> Recorder:
        """Where everything is noted."""
        return self._recorder

    def shows(self, read: str) -> bool:
        """Whether the adapter reads that page of the operator's: "stock", "orders" …"""
        return getattr(type(self), read) is not getattr(ShopPlatform, read)

    def _new_shopper(self, person: Person) -> Shopper:
        """Made without arguments, so that an adapter may have an `__init__` of its own. Raises `AdapterFault`."""
        kind = type(self).shopper
        shopper = kind.__new__(kind)
        shopper.browser = browser = self.browser_of(person)
        shopper.person = person
        shopper.settings = self.settings
        shopper.secrets = self.secrets
        shopper.account = Given("platform.people", self._people.account_of(person))
        try:
            shopper.__init__()  # type: ignore[misc]
        except (Exception, SystemExit) as error:
            words = f"__init__ of {kind.__name__}: {type(error).__name__}: {error}"
            raise AdapterFault(words, place_of(error.__traceback__)) from error
        if shopper.browser is not browser:
            words = f"__init__ of {kind.__name__} replaces self.browser: each customer has one of their own"
            raise AdapterFault(words, class_place(kind))
        return shopper


def capabilities_of(kind: type) -> frozenset[Capability]:
    """The capabilities that an adapter declares, SAME_KEY by its customers. Raises `InputError` for what is none."""
    declared = getattr(kind, "capabilities", None)
    if isinstance(declared, str) or not isinstance(declared, Iterable):
        raise InputError(f"{kind.__name__}.capabilities is no set", hint="capabilities = {Capability.STOCK, …}")
    unknown = sorted(str(one) for one in declared if not isinstance(one, str) or one not in set(Capability))
    if unknown:
        hint = f"there are {', '.join(Capability)}"
        raise InputError(f"{kind.__name__} declares the unknown capability {unknown[0]}", hint=hint)
    promised = getattr(getattr(kind, "shopper", None), "same_key_same_purchase", False)
    return frozenset(map(Capability, declared)) | ({Capability.SAME_KEY} if promised else frozenset())
