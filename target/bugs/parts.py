"""Faulty components, one for each bug, which `target.bugs.catalogue` plants. Nothing else uses them."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from target.http.tickets import Bound, Pass, Signer, Ticket, Token, device_digest
from target.orders import Order, Orders, OrderState, Parking, Policy, Saga, sql
from target.orders.orders import Checkout, SeatsOwnedError, order_id_for
from target.orders.saga import Receipt
from target.orders.settlement import Settlement
from target.payments.client import ChargeAnswer, Payable, PaymentsClient
from target.payments.records import ChargeStatus
from target.queue import RatePolicy, StreamHub, WaitingRoom, scripts
from target.queue.access_codes import AccessCodes, spelled
from target.queue.position_streams import Stream
from target.queue.rate_policy import Feedback
from target.queue.rules import Rules
from target.queue.waiting_room import JoinState, Positions, QueuePlace
from target.seats import Inventory, LuaSeats, SeatLog, SeatMap, SeatRoutes, Venue, lua
from target.seats.lua import HOLD
from target.seats.routes import HoldRequest
from target.seats.seat_log import SeatChange, text
from target.seats.seat_map import Seats
from target.seats.store import TAKEN, HoldOwner, HoldReply, Places
from target.storage.keys import MAP_SOLD, SEAT_FREE, SEAT_HELD, SEAT_SOLD, Keys
from target.storage.redis import RedisStore, Reply, Script, Value

EVERY: Final = 50  # seat changes: the bugs that hit some changes hit these
EARLY_S: Final = 2.0
LATE_S: Final = 1.5  # longer than the reference system promises
IMPATIENT_S: Final = 1.5  # shorter than the time-out of a payment, so that recovery never tries again
FROZEN_S: Final = 600.0
DISCOURAGES_EVERY: Final = 7  # looks at the positions
REGRESS_EVERY: Final = 3  # looks at the positions
REGRESS_BY: Final = 50  # more than the line moves between two looks of one fan
BURST_PERIOD_S: Final = 4.0
BURST_LENGTH_S: Final = 0.25
BURST_TIMES: Final = 5
SURCHARGE_CENTS: Final = 150  # for each seat
DENIED_ONE_IN: Final = 4  # orders, by their ids
DENIED_AFTER_S: Final = 0.2
FORGETS_EVERY: Final = 3  # fans, by a digest of their names
MISERLY_BY: Final = 2  # seats
COY_ONE_IN: Final = 4  # requests for seats, by a digest of the first seat
SHUFFLED_WITHIN_US: Final = 2_000_000
GOOD_CARD: Final = "ok"


def _changed(script: Script, old: str, new: str) -> Script:
    """`script` with one passage replaced. The passage must exist, because a bug without effect would prove nothing."""
    if old not in script.source:
        raise ValueError(f"the script no longer says {old!r}")
    return Script(script.source.replace(old, new))


_FORGET: Final = "UPDATE orders SET unfinished = false WHERE order_id = $1 AND $2::text <> '' RETURNING order_id"
_CREATE_UNOWNED: Final = sql.CREATE.replace("price_cents, true\n", "price_cents, false\n")
_HOLD_ANY: Final = _changed(
    HOLD,
    "call('SETBIT', KEYS[2], ARGV[n + 1], '1') == 0",
    "call('SETRANGE', KEYS[2], (ARGV[n + 1] - 7) / 8, '1') > 0",
)
_EXPIRE_EARLY: Final = _changed(lua.EXPIRE, "whole(ARGV[3])", f"whole(ARGV[3] + {round(EARLY_S * 1e6)})")
_EXPIRE_LATE: Final = _changed(lua.EXPIRE, "whole(ARGV[3])", f"whole(ARGV[3] - {round(LATE_S * 1e6)})")
_SELL_OPEN: Final = _changed(lua.SELL, f"and '{MAP_SOLD}' or state", "and state or state")
_EXPIRE_AND_KEEP: Final = _changed(
    lua.EXPIRE, "give_back(name, hold, 'expired', ended)", "redis.call('ZREM', KEYS[4], name)"
)
_COUNT_ON: Final = ("redis.call('HINCRBY', KEYS[5], hold[IDENTITY], -#seats)", "#seats")
_RELEASE_UNCOUNTED: Final = _changed(lua.RELEASE, *_COUNT_ON)
_EXPIRE_UNCOUNTED: Final = _changed(lua.EXPIRE, *_COUNT_ON)
_ADMIT_LAST: Final = _changed(scripts.ADMIT, "redis.call('ZRANGE', KEYS[2]", "redis.call('ZREVRANGE', KEYS[2]")


class LostAckOrders(Orders):
    """Says that an order is confirmed, takes it off the recovery's list, and never writes the confirmation."""

    async def confirm(self, order_id: str, charge_id: str) -> bool:
        """See the class."""
        return await self._moved(_FORGET, order_id, charge_id)


class CarelessOrders(Orders):
    """Lets a second order have a seat that a live order owns."""

    async def create(self, checkout: Checkout, *, lease_s: float, counted: bool = True) -> bool:
        """See the class."""
        try:
            return await super().create(checkout, lease_s=lease_s, counted=counted)
        except SeatsOwnedError:
            return await self._insert(_CREATE_UNOWNED, checkout, lease_s)


class LimitlessOrders(Orders):
    """Does not look at what an identity has bought."""

    async def create(self, checkout: Checkout, *, lease_s: float, counted: bool = True) -> bool:
        """See the class."""
        return await super().create(msgspec.structs.replace(checkout, limit=0), lease_s=lease_s, counted=counted)


class CarelessSeats(LuaSeats):
    """Gives a seat to every fan who asks, even when another fan holds or owns it."""

    async def _hold(self, _script: Script, arguments: tuple[Value, ...]) -> Reply:
        return await super()._hold(_HOLD_ANY, arguments)


class LeakySeats(LuaSeats):
    """Forgets a hold whose time is over without giving its seats back."""

    async def expire(self, most: int) -> int:
        """See the class."""
        return await self._expire(_EXPIRE_AND_KEEP, most)


class HastySeats(LuaSeats):
    """Ends holds before the time that the fans were told."""

    async def expire(self, most: int) -> int:
        """See the class."""
        return await self._expire(_EXPIRE_EARLY, most)


class TardySeats(LuaSeats):
    """Ends holds later than promised."""

    async def expire(self, most: int) -> int:
        """See the class."""
        return await self._expire(_EXPIRE_LATE, most)


class ReopeningSeats(LuaSeats):
    """Marks a sold seat on the map as free, so that the next fan who asks for it gets it."""

    async def _run(self, script: Script, hold_id: str, *arguments: Value) -> str:
        return await super()._run(_SELL_OPEN if script is lua.SELL else script, hold_id, *arguments)


class MiserlySeats(LuaSeats):
    """Refuses who is some seats below the purchase limit already."""

    async def hold(self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """See the class."""
        return await super().hold(hold_id, owner, places, limit=max(1, limit - MISERLY_BY), ttl_us=ttl_us)


class UnforgettingSeats(LuaSeats):
    """Counts seats that an identity has given back, or whose time is over, for its limit from then on."""

    async def _run(self, script: Script, hold_id: str, *arguments: Value) -> str:
        return await super()._run(_RELEASE_UNCOUNTED if script is lua.RELEASE else script, hold_id, *arguments)

    async def expire(self, most: int) -> int:
        """See the class."""
        return await self._expire(_EXPIRE_UNCOUNTED, most)


class CoySeats(LuaSeats):
    """Says now and then of free seats that they are taken."""

    async def hold(self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """See the class."""
        if zlib.crc32(places[0][0].encode()) % COY_ONE_IN == 0:
            return HoldReply(TAKEN, taken=tuple(seat for seat, _ in places))
        return await super().hold(hold_id, owner, places, limit=limit, ttl_us=ttl_us)


class OpenSeats(LuaSeats):
    """Gives a hold back for whoever names it."""

    async def release(self, hold_id: str, *, fan: str) -> str:  # noqa: ARG002 - that is the bug
        """See the class. To release in nobody's name is the system's own right."""
        return await super().release(hold_id, fan="")


class PartialRoutes(SeatRoutes):
    """Grants the first of several seats."""

    def _known(self, asked: HoldRequest) -> tuple[str, ...]:
        return super()._known(asked)[:1]


class WelcomingRoutes(SeatRoutes):
    """Grants accessible seats to whoever asks."""

    def _withheld(self, _owner: Pass, _seats: tuple[str, ...]) -> tuple[str, ...]:
        return ()


class SplittingRoutes(SeatRoutes):
    """Keeps wheelchair places, and grants companion seats by themselves."""

    def _withheld(self, owner: Pass, seats: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(seat for seat in super()._withheld(owner, seats) if self._venue.wheelchair_places[seat] == seat)


class SessionSeats(LuaSeats):
    """Counts purchases per session, so that a fan who joins again starts at zero."""

    async def hold(self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """See the class."""
        return await super().hold(hold_id, HoldOwner(owner.fan, owner.fan), places, limit=limit, ttl_us=ttl_us)


class TrustingSigner(Signer):
    """Accepts every token that can be read, without its signature."""

    def _is_genuine(self, _body: bytes, _mac: bytes) -> bool:
        return True


class PatientSigner(Signer):
    """Accepts tokens that have expired."""

    def read(self, kind: type[Token], token: str, **_when: object) -> Token:
        """See the class."""
        return super().read(kind, token, expired_too=True)


class RovingSigner(Signer):
    """Accepts tokens of every event."""

    def _is_here(self, _event: str) -> bool:
        return True


class CarelessSigner(Signer):
    """Accepts passes from every device."""

    def read_from(self, device: str, kind: type[Bound], token: str) -> Bound:
        """See the class."""
        return self.read(kind, token) if kind is Pass else super().read_from(device, kind, token)


class AlphabeticRoom(WaitingRoom):
    """Puts fans whom Redis has lost into the line by a digest of their names."""

    async def rejoin(self, ticket: Ticket) -> QueuePlace:
        """See the class."""
        joined_us = time.time_ns() // 1000 + _digest(ticket) % SHUFFLED_WITHIN_US
        return await self._join(ticket.fan, ticket.identity, ticket.device, joined_us)


class ForgetfulRoom(WaitingRoom):
    """Does not put some of the fans whom Redis has lost into the line again, and answers that it did."""

    async def rejoin(self, ticket: Ticket) -> QueuePlace:
        """See the class."""
        if _digest(ticket) % FORGETS_EVERY:
            return await super().rejoin(ticket)
        return QueuePlace(JoinState.QUEUED, None, ticket.joined_us, ticket.identity, "", new=False)


class RestampingRoom(WaitingRoom):
    """Puts fans whom Redis has lost at the end of the line."""

    async def rejoin(self, ticket: Ticket) -> QueuePlace:
        """See the class."""
        return await self.join(ticket.fan, ticket.identity, device=ticket.device)


class LeavingRoom(WaitingRoom):
    """Can take a waiting fan's place away and put the fan at the end."""

    async def begin_again(self, ticket: Ticket) -> None:
        """See the class."""
        queue, fans = self._join_keys[2:4]
        if await self._redis.command("ZREM", queue, ticket.fan):
            await self._redis.command("HDEL", fans, ticket.fan)
            await self.join(ticket.fan, ticket.identity, device=ticket.device)


class ForgettingHub(StreamHub):
    """Takes a fan's place away when the fan's stream is opened again."""

    def __init__(self, room: WaitingRoom, *, rate_per_s: float) -> None:
        super().__init__(room, rate_per_s=rate_per_s)
        self._reopened: set[Stream] = set()

    def open(self, ticket: Ticket, *, last_event_id: str = "") -> Stream:
        """See the class."""
        stream = super().open(ticket, last_event_id=last_event_id)
        if last_event_id:
            self._reopened.add(stream)
        return stream

    async def _look_up(self, streams: list[Stream]) -> list[Stream]:
        for stream in self._reopened.intersection(streams):
            self._reopened.discard(stream)
            if isinstance(self._room, LeavingRoom):
                await self._room.begin_again(stream.ticket)
        return await super()._look_up(streams)


def _digest(ticket: Ticket) -> int:
    return zlib.crc32(ticket.fan.encode())


class ForgivingRoom(WaitingRoom):
    """Does not note whom an access code has let in."""

    async def _join(self, fan: str, identity: str, device: str, joined_us: int | str, _code: str = "") -> QueuePlace:
        return await super()._join(fan, identity, device, joined_us)


class TrustingCodes(AccessCodes):
    """Takes every access code, and none at all, for a good one."""

    def digest_of(self, code: str) -> str:
        """See the class."""
        return device_digest(spelled(code))


class ImpatientRoom(WaitingRoom):
    """Puts a waiting fan who joins again, having lost the ticket, at the end of the line."""

    async def join(self, fan: str, identity: str, *, device: str = "", code: str = "") -> QueuePlace:
        """See the class."""
        queue, fans = self._join_keys[2:4]
        if await self._redis.command("ZREM", queue, fan):
            await self._redis.command("HDEL", fans, fan)
        return await super().join(fan, identity, device=device, code=code)


class DistrustfulRoom(WaitingRoom):
    """Puts a waiting fan who joins again with the ticket at the end of the line."""

    async def rejoin(self, ticket: Ticket) -> QueuePlace:
        """See the class."""
        queue, fans = self._join_keys[2:4]
        if not await self._redis.command("ZREM", queue, ticket.fan):
            return await super().rejoin(ticket)
        await self._redis.command("HDEL", fans, ticket.fan)
        return await self.join(ticket.fan, ticket.identity, device=ticket.device, code=ticket.code)


class RoomyRoom(WaitingRoom):
    """Gives an identity as many places as it asks for, whatever the rules say."""

    def __init__(self, redis: RedisStore, keys: Keys, rules: Rules | None = None) -> None:
        super().__init__(redis, keys, msgspec.structs.replace(rules or Rules(), places_per_identity=0))


class LastInFirstOutRoom(WaitingRoom):
    """Admits the fans who came last."""

    async def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[Value]) -> Reply:
        return await super()._run(_ADMIT_LAST if script is scripts.ADMIT else script, keys, arguments)


class WaveringRoom(WaitingRoom):
    """Tells all fans a later position now and then, and the right one again."""

    _looks = 0

    async def positions(self, fans: Sequence[str]) -> Positions:
        """See the class."""
        seen = await super().positions(fans)
        self._looks += bool(fans)
        if self._looks % REGRESS_EVERY:
            return seen
        further = [position + REGRESS_BY if position > 0 else position for position in seen.of]
        return msgspec.structs.replace(seen, of=further)


class FlatteringRoom(WaitingRoom):
    """Tells everybody who waits that they are next."""

    async def positions(self, fans: Sequence[str]) -> Positions:
        """See the class."""
        seen = await super().positions(fans)
        return msgspec.structs.replace(seen, of=[min(position, 1) for position in seen.of])


class DiscouragingRoom(WaitingRoom):
    """Tells fans in line now and then that nothing is left."""

    _looks = 0

    async def positions(self, fans: Sequence[str]) -> Positions:
        """See the class."""
        seen = await super().positions(fans)
        self._looks += bool(fans)
        return seen if self._looks % DISCOURAGES_EVERY else msgspec.structs.replace(seen, sold_out=True)


class ForgettingDoorRoom(WaitingRoom):
    """Lets a ticket in once, also where the answer was lost on the way."""

    repeat_enter_s = 0.0


class SurgingRate:
    """Another policy's rate; but every few seconds it admits many more."""

    def __init__(self, policy: RatePolicy, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock

    @property
    def burst(self) -> int:
        """More than the policy's burst."""
        return self._policy.burst * BURST_TIMES

    def rate_per_s(self) -> float:
        """The policy's rate, or much more."""
        surging = self._clock() % BURST_PERIOD_S < BURST_LENGTH_S
        return self.burst / BURST_LENGTH_S if surging else self._policy.rate_per_s()

    def observe(self, feedback: Feedback) -> None:
        """Passes it on."""
        self._policy.observe(feedback)


class FrozenSeatMap(SeatMap):
    """Reads the seats once and then always shows them as fresh."""

    _frozen: Seats | None = None
    _until_s = 0.0

    async def _from_redis(self) -> Seats:
        if self._frozen is None or time.monotonic() > self._until_s:
            self._frozen = await super()._from_redis()
            self._until_s = time.monotonic() + FROZEN_S
        return self._frozen


class FlatteringSeatMap(SeatMap):
    """Shows seats that are held as free."""

    async def _from_redis(self) -> Seats:
        seen = await super()._from_redis()
        shown = {section: states.replace(SEAT_HELD, SEAT_FREE) for section, states in seen.states.items()}
        return msgspec.structs.replace(seen, states=shown)


class FlatteringCounts(SeatMap):
    """Counts seats that are held as free; the map shows them as they are."""

    def _free(self, states: str) -> int:
        return len(states) - states.count(SEAT_SOLD)


class ForgetfulSeatLog(SeatLog):
    """Leaves out a change now and then."""

    def append(self, change: SeatChange) -> tuple[str, ...]:
        """See the class."""
        messages = super().append(change)
        return messages if change.seq % EVERY else ()


class StutteringSeatLog(SeatLog):
    """Gives two changes the same number now and then."""

    def append(self, change: SeatChange) -> tuple[str, ...]:
        """See the class."""
        messages = super().append(change)
        return messages if change.seq % EVERY else (*messages, text(change))


class ForwardSeatLog(SeatLog):
    """Shows the seat of the newest change as free in its snapshots."""

    _newest = ""

    def append(self, change: SeatChange) -> tuple[str, ...]:
        """See the class."""
        self._newest = change.seat
        return super().append(change)

    def _take_snapshot(self, now_s: float) -> None:
        states = bytes(self._states)
        if self._newest:
            self._states[self._index[self._newest]] = ord(SEAT_FREE)
        super()._take_snapshot(now_s)
        self._states[:] = states


class TwiceCharging(PaymentsClient):
    """Charges once for the order and once more without reason. Shares the connections of the `real` client."""

    def __init__(self, real: PaymentsClient) -> None:
        self.__dict__ = real.__dict__

    async def charge(self, key: str, claim: Payable, *, capture: bool = True) -> ChargeAnswer:
        """See the class."""
        await super().charge(f"{key}-again", claim, capture=capture)
        return await super().charge(key, claim, capture=capture)


class OthersCardCharging(PaymentsClient):
    """Charges a good card as the one of the payment before. Shares the connections of the `real` client."""

    def __init__(self, real: PaymentsClient) -> None:
        self.__dict__ = real.__dict__
        self._card_before = ""
        self._card_of: dict[str, str] = {}  # key → card: a repeat is charged as it was before

    async def charge(self, key: str, claim: Payable, *, capture: bool = True) -> ChargeAnswer:
        """See the class."""
        if isinstance(claim, Checkout | Order) and claim.card.startswith(GOOD_CARD):
            card = self._card_of.setdefault(key, self._card_before or claim.card)
            self._card_before = claim.card
            claim = msgspec.structs.replace(claim, card=card)
        return await super().charge(key, claim, capture=capture)


class ToAndFroCharging(PaymentsClient):
    """Takes the money of a declined card, and gives it back. Shares the connections of the `real` client."""

    def __init__(self, real: PaymentsClient) -> None:
        self.__dict__ = real.__dict__

    async def charge(self, key: str, claim: Payable, *, capture: bool = True) -> ChargeAnswer:
        """See the class."""
        answer = await super().charge(key, claim, capture=capture)
        if answer.status is ChargeStatus.DECLINED and isinstance(claim, Checkout | Order):
            taken = await super().charge(f"{key}-again", msgspec.structs.replace(claim, card="ok"))
            await self.refund(taken.charge_id)
        return answer


class KeepingSettlement(Settlement):
    """Gives back neither seats nor money when a capture arrives after its order was given up."""

    async def _captured_late(self, claim: Checkout | Order, _charge: ChargeAnswer) -> OrderState:
        await self._orders.stop_watching(claim.order_id)
        return await self._state(claim)


class DearerVenue(Venue):
    """Shows one price and takes another: orders, charges and exports all have a surcharge that no fan was shown."""

    def __init__(self, real: Venue) -> None:
        self.__dict__ = real.__dict__

    def price_cents(self, seat: str) -> int:
        """See the class."""
        return super().price_cents(seat) + SURCHARGE_CENTS


class LatePayingSaga(Saga):
    """Takes a payment in whose hold is over, whoever has its seats by then."""

    async def _lock(self, checkout: Checkout, *, promised_s: float) -> bool | None:
        return await super()._lock(checkout, promised_s=promised_s) is not None or None


class ForgettingSaga(Saga):
    """Drops the checkouts that were parked while the database was away, though their fans were told "pending"."""

    async def unpark(self, checkout: Checkout) -> None:
        """See the class."""
        await self._parking.remove(checkout.order_id)


class DenyingSaga(Saga):
    """Confirms an order, charges for it, and now and then tells its fan that the card was declined."""

    async def checkout(self, checkout: Checkout, *, hold_expires_at_s: float) -> Receipt:
        """See the class."""
        receipt = await super().checkout(checkout, hold_expires_at_s=hold_expires_at_s)
        denied = receipt.state is OrderState.CONFIRMED and int(receipt.order_id[1:], 16) % DENIED_ONE_IN == 0
        return msgspec.structs.replace(receipt, state=OrderState.DECLINED) if denied else receipt


class RecantingSaga(Saga):
    """Tells fans that their order is confirmed, and a moment later, when they look it up, that it was declined."""

    async def find(self, order_id: str) -> tuple[Order | Checkout | None, bool]:
        """See the class."""
        order, stale = await super().find(order_id)
        if isinstance(order, Order) and order.state is OrderState.CONFIRMED and order.age_s > DENIED_AFTER_S:
            return msgspec.structs.replace(order, state=OrderState.DECLINED), stale
        return order, stale


class RepeatingSaga(Saga):
    """Charges the card again whenever a payment that went through is posted again under its key."""

    async def _earlier(self, checkout: Checkout) -> Receipt:
        receipt = await super()._earlier(checkout)
        if receipt.state is OrderState.CONFIRMED:
            await self._payments.charge(f"{checkout.order_id}-again", checkout)
        return receipt


class KeyPerHoldSaga(Saga):
    """Takes the same idempotency key with another hold for another purchase."""

    async def checkout(self, checkout: Checkout, *, hold_expires_at_s: float) -> Receipt:
        """See the class."""
        order_id = order_id_for(checkout.event, checkout.fan, f"{checkout.idempotency_key} {checkout.hold_id}")
        own = msgspec.structs.replace(checkout, order_id=order_id)
        return await super().checkout(own, hold_expires_at_s=hold_expires_at_s)


class GlobalKeySaga(Saga):
    """Knows an idempotency key whoever used it first, and answers with what that fan bought."""

    async def checkout(self, checkout: Checkout, *, hold_expires_at_s: float) -> Receipt:
        """See the class."""
        order_id = order_id_for(checkout.event, "", checkout.idempotency_key)
        known, _ = await self.find(order_id)
        if isinstance(known, Order) and known.fan != checkout.fan:
            return Receipt(known.order_id, known.state, known.seats, known.amount_cents)
        own = msgspec.structs.replace(checkout, order_id=order_id)
        return await super().checkout(own, hold_expires_at_s=hold_expires_at_s)


class GraspingSaga(Saga):
    """Gives orders up soon, and keeps the money of late captures."""

    settlement = KeepingSettlement

    def __init__(
        self,
        orders: Orders,
        payments: PaymentsClient,
        inventory: Inventory,
        parking: Parking,
        policy: Policy | None = None,
    ) -> None:
        impatient = msgspec.structs.replace(policy or Policy(), payment_patience_s=IMPATIENT_S)
        super().__init__(orders, payments, inventory, parking, impatient)
