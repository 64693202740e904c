"""Planted bugs, chosen with TARGET_BUG: each replaces one component by a faulty one when the parts are put together.

They show that a rehearsal's checkers catch such bugs. No other module asks whether a bug is planted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from target.bugs import parts
from target.http.tickets import Signer
from target.orders import Orders, Saga
from target.queue import WaitingRoom
from target.seats import Inventory, LuaSeats, SeatLog, SeatRoutes
from target.settings import SettingsError

if TYPE_CHECKING:
    from target.context import Context

Plant = Callable[["Context"], None]


def _leave(_context: Context) -> None:
    """Replaces nothing."""


def _orders(faulty_orders: type[Orders]) -> Plant:
    def plant(context: Context) -> None:
        context.orders = faulty_orders(context.database, context.settings.event)

    return plant


def _seats(faulty_seats: type[LuaSeats]) -> Plant:
    """The faulty store is always the Lua backend, whatever TARGET_HOLDS says."""

    def plant(context: Context) -> None:
        store = faulty_seats(context.redis, context.keys)
        ttl_s = context.settings.hold_ttl_s
        context.inventory = Inventory(context.redis, context.keys, context.venue, hold_ttl_s=ttl_s, store=store)

    return plant


def _room(faulty_room: type[WaitingRoom]) -> Plant:
    def plant(context: Context) -> None:
        context.room = faulty_room(context.redis, context.keys, context.room.rules)

    return plant


def _sell_twice(context: Context) -> None:
    _orders(parts.CarelessOrders)(context)
    _seats(parts.CarelessSeats)(context)


def _limit_sessions(context: Context) -> None:
    _orders(parts.LimitlessOrders)(context)
    _seats(parts.SessionSeats)(context)


def _forget_with_stream(context: Context) -> None:
    _room(parts.LeavingRoom)(context)
    context.stream_hub = parts.ForgettingHub


def _signer(faulty_signer: type[Signer]) -> Plant:
    def plant(context: Context) -> None:
        context.signer = faulty_signer(context.settings.secret, context.settings.event)

    return plant


def _believe_codes(context: Context) -> None:
    context.entrance.codes = parts.TrustingCodes()


def _surge(context: Context) -> None:
    context.rate_policy = parts.SurgingRate(context.rate_policy)


def _freeze_map(context: Context) -> None:
    context.seat_map = parts.FrozenSeatMap(context.redis, context.keys, context.venue, context.orders)


def _count_held(context: Context) -> None:
    context.seat_map = parts.FlatteringCounts(context.redis, context.keys, context.venue, context.orders)


def _flatter(context: Context) -> None:
    context.seat_map = parts.FlatteringSeatMap(context.redis, context.keys, context.venue, context.orders)


def _charge_twice(context: Context) -> None:
    context.payments = parts.TwiceCharging(context.payments)


def _charge_others(context: Context) -> None:
    context.payments = parts.OthersCardCharging(context.payments)


def _charge_to_and_fro(context: Context) -> None:
    context.payments = parts.ToAndFroCharging(context.payments)


def _saga(faulty_saga: type[Saga]) -> Plant:
    def plant(context: Context) -> None:
        context.saga = faulty_saga

    return plant


def _routes(faulty_routes: type[SeatRoutes]) -> Plant:
    def plant(context: Context) -> None:
        context.seat_routes = faulty_routes

    return plant


def _raise_prices(context: Context) -> None:
    context.venue = parts.DearerVenue(context.venue)


@dataclass(frozen=True)
class Bug:
    """One planted bug. `breaks`: the invariant that it violates. `plant` works on booking and worker."""

    name: str
    breaks: str
    description: str
    plant: Plant = _leave
    seat_log: type[SeatLog] = SeatLog


NO_BUG: Final = Bug("", "", "the system as it is meant to be")
_ALL: Final = (
    Bug(
        "double_sell",
        "no_double_sell",
        "a hold ignores an existing holder, and the database lets a second order have the seat",
        _sell_twice,
    ),
    Bug(
        "lost_ack",
        "no_lost_booking",
        "orders are acknowledged as confirmed, but the confirmation is never written",
        _orders(parts.LostAckOrders),
    ),
    Bug(
        "leaked_hold",
        "no_leaked_hold",
        "a hold that runs out is forgotten, and its seats stay held",
        _seats(parts.LeakySeats),
    ),
    Bug(
        "partial_hold",
        "granted_as_asked",
        "whoever asks for several seats is granted the first of them",
        _routes(parts.PartialRoutes),
    ),
    Bug(
        "early_expiry",
        "no_early_expiry",
        f"holds end {parts.EARLY_S:g} s before the time that their fans were told",
        _seats(parts.HastySeats),
    ),
    Bug(
        "late_payment_taken",
        "no_early_expiry",
        "who pays when the hold is over is sold its seats, whoever has them by then",
        _saga(parts.LatePayingSaga),
    ),
    Bug(
        "released_by_anybody",
        "no_early_expiry",
        "whoever names a hold can give it back",
        _seats(parts.OpenSeats),
    ),
    Bug(
        "late_expiry",
        "no_late_expiry",
        f"holds end {parts.LATE_S:g} s after their time",
        _seats(parts.TardySeats),
    ),
    Bug(
        "sold_seat_held",
        "no_sold_seat_granted",
        "a sold seat can be held again",
        _seats(parts.ReopeningSeats),
    ),
    Bug(
        "flattering_map",
        "map_honest",
        "the seat map shows held seats as free",
        _flatter,
    ),
    Bug(
        "flattering_counts",
        "map_honest",
        "the free seats of the sections are counted with those that are held",
        _count_held,
    ),
    Bug(
        "double_charge",
        "money_reconciles",
        "every card is charged twice, under two keys",
        _charge_twice,
    ),
    Bug(
        "decline_charged",
        "money_reconciles",
        "the money of a declined card is taken all the same, and given back",
        _charge_to_and_fro,
    ),
    Bug(
        "others_card",
        "money_reconciles",
        "a good card is charged as the card of the payment before",
        _charge_others,
    ),
    Bug(
        "late_capture_kept",
        "money_reconciles",
        f"orders are given up after {parts.IMPATIENT_S:g} s unpaid, and a capture that lands later is kept",
        _saga(parts.GraspingSaga),
    ),
    Bug(
        "parked_dropped",
        "no_lost_order",
        "checkouts that were parked while the database was away are dropped when it is back",
        _saga(parts.ForgettingSaga),
    ),
    Bug(
        "sale_denied",
        "no_lost_booking",
        f"the fan of every {parts.DENIED_ONE_IN}th confirmed order is told that the card was declined",
        _saga(parts.DenyingSaga),
    ),
    Bug(
        "sale_recanted",
        "no_lost_booking",
        "orders are confirmed, and shown as declined when they are looked up",
        _saga(parts.RecantingSaga),
    ),
    Bug(
        "surcharge",
        "charged_as_shown",
        f"each seat is ordered, charged and exported at {parts.SURCHARGE_CENTS} cents more than it is shown at",
        _raise_prices,
    ),
    Bug(
        "repeat_charged",
        "one_key_one_purchase",
        "a payment that is posted again under its key is charged again",
        _saga(parts.RepeatingSaga),
    ),
    Bug(
        "key_per_hold",
        "one_key_one_purchase",
        "a used idempotency key with another hold buys a second time",
        _saga(parts.KeyPerHoldSaga),
    ),
    Bug(
        "key_of_all",
        "one_key_one_purchase",
        "an idempotency key that another fan has used is answered with that fan's order",
        _saga(parts.GlobalKeySaga),
    ),
    Bug(
        "limit_per_session",
        "purchase_limit",
        "the purchase limit counts what a session has bought, not what the identity has",
        _limit_sessions,
    ),
    Bug(
        "limit_too_low",
        "refused_for_cause",
        f"fans are refused for the purchase limit {parts.MISERLY_BY} seats before they reach it",
        _seats(parts.MiserlySeats),
    ),
    Bug(
        "given_back_counts",
        "refused_for_cause",
        "seats that an identity gave back, or whose time is over, count for its purchase limit for ever",
        _seats(parts.UnforgettingSeats),
    ),
    Bug(
        "free_seat_refused",
        "refused_for_cause",
        f"whoever asks for one of every {parts.COY_ONE_IN}th seats is told that somebody has it",
        _seats(parts.CoySeats),
    ),
    Bug(
        "accessible_for_all",
        "accessible_kept",
        "accessible seats are granted to whoever asks for them",
        _routes(parts.WelcomingRoutes),
    ),
    Bug(
        "companion_alone",
        "accessible_kept",
        "wheelchair places are kept, and their companion seats are granted by themselves to whoever asks",
        _routes(parts.SplittingRoutes),
    ),
    Bug(
        "ticket_used_up",
        "refused_for_cause",
        "who comes in again, because the first answer was lost, is told that the ticket is used",
        _room(parts.ForgettingDoorRoom),
    ),
    Bug(
        "sold_out_untrue",
        "refused_for_cause",
        "fans in line are told now and then that nothing is left, and leave",
        _room(parts.DiscouragingRoom),
    ),
    Bug(
        "unsigned_ticket",
        "no_queue_bypass",
        "tickets and passes are believed whatever their signature",
        _signer(parts.TrustingSigner),
    ),
    Bug(
        "expired_pass",
        "no_queue_bypass",
        "passes and tickets are believed however long they are over",
        _signer(parts.PatientSigner),
    ),
    Bug(
        "pass_of_elsewhere",
        "no_queue_bypass",
        "passes and tickets of another event are believed",
        _signer(parts.RovingSigner),
    ),
    Bug(
        "shared_pass",
        "no_queue_bypass",
        "passes are believed on any device",
        _signer(parts.CarelessSigner),
    ),
    Bug(
        "code_reused",
        "no_queue_bypass",
        "an access code lets in everybody who shows it",
        _room(parts.ForgivingRoom),
    ),
    Bug(
        "codes_believed",
        "no_queue_bypass",
        "every access code is believed, also an invented one",
        _believe_codes,
    ),
    Bug(
        "second_place",
        "no_queue_bypass",
        "an identity gets a place for each of its devices where the sale gives it one",
        _room(parts.RoomyRoom),
    ),
    Bug(
        "reload_is_new",
        "queue_order",
        "whoever loads the page again without the ticket has lost the place, and begins at the end",
        _room(parts.ImpatientRoom),
    ),
    Bug(
        "ticket_is_new",
        "queue_order",
        "whoever loads the page again with the ticket has lost the place, and begins at the end",
        _room(parts.DistrustfulRoom),
    ),
    Bug(
        "lifo_admission",
        "queue_order",
        "who came last is let in first",
        _room(parts.LastInFirstOutRoom),
    ),
    Bug(
        "line_by_name",
        "place_kept",
        "fans whom Redis has forgotten are queued by their names, whatever their tickets say",
        _room(parts.AlphabeticRoom),
    ),
    Bug(
        "line_forgotten",
        "place_kept",
        f"every {parts.FORGETS_EVERY}rd fan whom Redis has forgotten is never put in the line again",
        _room(parts.ForgetfulRoom),
    ),
    Bug(
        "tickets_restamped",
        "place_kept",
        "fans whom Redis has forgotten are queued when they are seen again, not by their tickets",
        _room(parts.RestampingRoom),
    ),
    Bug(
        "stream_is_place",
        "place_kept",
        "who opens the stream of positions again has lost the place, and begins at the end",
        _forget_with_stream,
    ),
    Bug(
        "position_regress",
        "position_monotonic",
        f"every {parts.REGRESS_EVERY}rd look at the queue puts everybody {parts.REGRESS_BY} places back",
        _room(parts.WaveringRoom),
    ),
    Bug(
        "everybody_next",
        "position_monotonic",
        "everybody who waits is told that they are next",
        _room(parts.FlatteringRoom),
    ),
    Bug(
        "dropped_event",
        "feed_gap_free",
        f"the feed leaves out every {parts.EVERY}th seat change",
        seat_log=parts.ForgetfulSeatLog,
    ),
    Bug(
        "duplicate_seq",
        "feed_gap_free",
        f"the feed tells every {parts.EVERY}th seat change twice, under one number",
        seat_log=parts.StutteringSeatLog,
    ),
    Bug(
        "snapshot_behind",
        "feed_gap_free",
        "snapshots of the feed lack the newest change",
        seat_log=parts.ForwardSeatLog,
    ),
    Bug(
        "stale_map",
        "seat_conservation",
        "the seat map is read once and shown as fresh from then on",
        _freeze_map,
    ),
    Bug(
        "admission_burst",
        "admission_rate",
        f"every {parts.BURST_PERIOD_S:g} s {parts.BURST_TIMES} times the stated burst is let in at once",
        _surge,
    ),
)
BUGS: Final = {bug.name: bug for bug in _ALL}


def find(name: str) -> Bug:
    """The bug of that name; "" is no bug. Raises `SettingsError` for any other."""
    if not name:
        return NO_BUG
    if name not in BUGS:
        raise SettingsError(f"TARGET_BUG={name!r}: no such bug; known: {', '.join(sorted(BUGS))}")
    return BUGS[name]
