"""The reference booking system at rest: waits until it is, reads everything, sweeps seats. An operator's work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, TypeVar

import gevent
import msgspec
from gevent.pool import Pool
from msgspec import structs

from harness.platform import AckedOrder, Addresses, Call, FinalEntry, FinalOrder, FinalReads, FinalSeat, Person
from harness.record.schema import Function, Outcome, SeatMapFacts
from harness.swarm.client.documents import decode, decode_lines
from harness.swarm.client.http import HttpClient, Response
from harness.swarm.client.transport import ClientLimits, Origin, resolve
from harness.swarm.recording.recorder import Recorder
from scenarios.reference import api
from scenarios.reference.draw import look_at_draw
from scenarios.reference.fan import end_order
from scenarios.reference.reuse import STRANGER, reuse_key, reused_orders

T = TypeVar("T", bound=msgspec.Struct)
Item = TypeVar("Item")

_OPERATOR: Final = Person(user=-1, kind="operator", actor="operator", identity="operator")
_AT_ONCE: Final = 16
_POLL_S: Final = 0.25
_STATES: Final = {"0": "free", "1": "held", "2": "sold"}
_TRIES: Final = 5
_LIMITS: Final = ClientLimits(body_bytes=64 * 1024 * 1024)  # an export of a large sale
_SHORTEST_S: Final = 1.0


class Operator:
    """An operator of the reference booking system. Several greenlets at a time: a client each.

    Nothing here raises for what the system answers, and nothing is begun after `ends_s`, an instant of the monotonic
    clock: what cannot be read is null, and a note says why.
    """

    def __init__(self, addresses: Addresses, recorder: Recorder, ends_s: float = float("inf")) -> None:
        self._ends_s = ends_s
        self._recorder = recorder
        self._event_base = f"/api/events/{addresses.event}"
        self._token = f"Authorization: Bearer {addresses.admin_token}\r\n".encode()
        self._booking = resolve(addresses.booking)
        self._has_pre_queue = addresses.opens_at_s > 0
        self._admin = resolve(addresses.admin) if addresses.admin else None
        self._ledger = resolve(addresses.ledger) if addresses.ledger else None

    def read(self, acked: Sequence[AckedOrder], timeout_s: float) -> FinalReads:
        """The state at rest; what cannot be read is null and noted."""
        notes: list[str] = []
        deadline_s = monotonic() + timeout_s
        at_rest = self._wait_for_rest(deadline_s, notes)
        self._look_up(acked, notes)
        read = self._read_seats(deadline_s, notes)
        self._look_at_draw()
        if read is not None and at_rest:
            self._reuse_keys(_final_seats(*read))
            at_rest = self._wait_for_rest(
                deadline_s, notes
            )  # what was tried may have been taken in, to be decided later
        orders = self._export(self._admin, "/admin/orders", FinalOrder, "order export", notes)
        ledger = self._export(self._ledger, "/ledger", FinalEntry, "payment ledger", notes)
        return FinalReads(
            at_rest=at_rest,
            seats=_final_seats(*read) if read else None,
            seat_map=SeatMapFacts(capacity=read[0].capacity, epoch=read[1].epoch, seq=read[1].seq) if read else None,
            orders=orders,
            ledger=ledger,
            notes=tuple(notes),
        )

    def sweep(self, seats: Sequence[str]) -> None:
        """Hold and give back each seat."""
        authority = self.pass_for(_OPERATOR.actor)
        self._spread(seats, lambda client, seat: self._sweep_one(client, seat, authority))

    def expired_pass(self) -> str:
        """A pass that is over already, for a probe; "" where none can be had."""
        return self._asked_pass("prober", expired=True)

    def pass_of_elsewhere(self) -> str:
        """A pass of another event, for a probe; "" where none can be had."""
        return self._asked_pass("prober", elsewhere=True)

    def _wait_for_rest(self, deadline_s: float, notes: list[str]) -> bool:
        if self._admin is None:
            notes.append("the platform has no operator endpoints: it cannot say whether it is at rest")
            return False
        client = self._client(self._admin)
        pending: api.PendingAnswer | None = None
        while True:
            response = self._get(client, "/admin/pending")
            why = response.error
            if why == "":
                try:
                    pending = decode(response.body, api.PendingAnswer)
                except msgspec.DecodeError as error:
                    why = f"what is pending could not be understood: {error}"
                else:
                    why = f"{pending}"
                    if pending.at_rest:
                        break
            if monotonic() > deadline_s:
                notes.append(f"not at rest: {why}")
                break
            gevent.sleep(_POLL_S)
        client.close()
        return pending is not None and pending.at_rest

    def _look_up(self, acked: Sequence[AckedOrder], notes: list[str]) -> None:
        """Every order that a fan was given, in that fan's name."""
        if self._admin is None:
            return
        missing = self._spread(acked, self._look_up_one).count(False)
        if missing:
            notes.append(f"{missing} of {len(acked)} acknowledged orders could not be looked up")

    def _look_up_one(self, client: HttpClient, order: AckedOrder) -> bool:
        """False: the platform would not say, in a few tries."""
        person = Person(user=-1, kind=_OPERATOR.kind, actor=order.actor, identity=order.identity)
        for _ in range(_TRIES):
            if self._is_over:
                break
            authority = self.pass_for(order.actor)
            operation = self._recorder.begin(person, Function.ORDER, Call.now(), key=order.order_id, value={})
            response = client.call(api.SETTLE_GET, api.order_path(order.order_id), operation.call, authority)
            answer = end_order(operation, response)
            if answer.outcome is Outcome.OK or answer.error == "missing":
                return True
            gevent.sleep(_POLL_S)
        return False

    def _look_at_draw(self) -> None:
        """Where lots were drawn: the seed, and who was in the draw."""
        if self._has_pre_queue:
            client = self._client(self._booking)
            look_at_draw(client, self._recorder, _OPERATOR, self._event_base, Call.now())
            client.close()

    def _reuse_keys(self, seats: Sequence[FinalSeat]) -> None:
        """A few used keys with another purchase; what comes of them is in the exports that are read afterwards."""
        orders = self._export(self._admin, "/admin/orders", FinalOrder, "order export", [])
        free = [seat.seat for seat in seats if seat.state == "free"]
        client = self._client(self._booking)
        reused = reused_orders(orders or ())
        tries = [(order, "") for order in reused]
        tries[1:1] = [(order, STRANGER) for order in reused[:1]]
        for (order, fan), seat in zip(tries, free, strict=False):
            if self._is_over:
                break
            reuse_key(client, self._recorder, self._event_base, order, seat, self.pass_for, fan)
        client.close()

    def _read_seats(self, deadline_s: float, notes: list[str]) -> tuple[api.VenueAnswer, api.SeatsAnswer] | None:
        """The layout and a seat map that is not stale."""
        client = self._client(self._booking)
        try:
            return self._layout_and_map(client, deadline_s)
        except _Unread as problem:
            notes.append(str(problem))
            return None
        finally:
            client.close()

    def _layout_and_map(self, client: HttpClient, deadline_s: float) -> tuple[api.VenueAnswer, api.SeatsAnswer]:
        """Raises `_Unread`."""
        venue = self._read(client, f"{self._event_base}/venue", api.VenueAnswer, "layout")
        try:
            api.venue_of(venue)
        except msgspec.ValidationError as error:
            raise _Unread(f"the layout could not be understood: {error}") from None
        while (seats := self._read(client, f"{self._event_base}/seats", api.SeatsAnswer, "seat map")).stale:
            if monotonic() > deadline_s:
                raise _Unread("the seat map could not be read fresh")
            gevent.sleep(_POLL_S)
        if sum(map(len, seats.states.values())) > api.SEATS_MAX:
            raise _Unread(f"the seat map has more than {api.SEATS_MAX} seats")
        return venue, seats

    def _export(
        self, origin: Origin | None, path: str, kind: type[T], what: str, notes: list[str]
    ) -> tuple[T, ...] | None:
        if origin is None:
            return None
        client = self._client(origin)
        response = self._get(client, path)
        client.close()
        try:
            if response.error == "":
                return tuple(decode_lines(response.body, kind))
            notes.append(f"the {what} could not be read: {response.error} {response.status}")
        except msgspec.DecodeError as error:
            notes.append(f"the {what} could not be understood: {error}")
        return None

    def _spread(self, items: Sequence[Item], work: Callable[[HttpClient, Item], bool]) -> list[bool]:
        """Do it for all items, over a few clients at once."""

        def take(part: Sequence[Item]) -> list[bool]:
            client = self._client(self._booking)
            try:
                return [not self._is_over and work(client, item) for item in part]
            finally:
                client.close()

        parts = [items[index::_AT_ONCE] for index in range(min(_AT_ONCE, len(items)))]
        return [done for part in Pool(_AT_ONCE).map(take, parts) for done in part]

    def _sweep_one(self, client: HttpClient, seat: str, authority: bytes) -> bool:
        operation = self._recorder.begin(_OPERATOR, Function.SWEEP, Call.now(), key=seat, value={})
        body = msgspec.json.encode({"seats": [seat]})
        path = f"{self._event_base}/holds"
        response = client.call(api.SETTLE_POST, path, operation.call, authority + api.JSON_BODY, body)
        if response.status == 201:
            operation.end(Outcome.OK, t_end_s=response.t_end_s)
            hold = api.read(response, api.HoldAnswer)
            if hold is not None:
                path = api.hold_path(self._event_base, hold.hold_id)
                client.call(api.SETTLE_DELETE, path, operation.call_now(), authority)
        elif response.status == 409:
            operation.end(Outcome.FAIL, error="conflict", t_end_s=response.t_end_s)
        else:
            operation.end(Outcome(response.outcome), error=response.error, t_end_s=response.t_end_s)
        return response.status == 201

    def pass_for(self, fan: str, *, limit: int = 0) -> bytes:
        """An Authorization header with a pass that the operator gives; empty where there is none to be had.

        `limit`: the seats that the fan may have with it, 0 for any number.
        """
        given = self._asked_pass(fan, limit=limit)
        return f"Authorization: Pass {given}\r\n".encode() if given else b""

    def _asked_pass(self, fan: str, *, expired: bool = False, elsewhere: bool = False, limit: int = 0) -> str:
        if self._admin is None:
            return ""
        client = self._client(self._admin)
        headers = self._token + api.JSON_BODY
        wishes = {"expired": expired, "elsewhere": elsewhere, "limit": limit}
        body = msgspec.json.encode({"fan": fan} | {name: wish for name, wish in wishes.items() if wish})
        response = client.call(api.SETTLE_POST, "/admin/passes", Call.now(), headers, body)
        client.close()
        answer = api.read(response, api.PassAnswer)
        return answer.pass_ if answer else ""

    def _read(self, client: HttpClient, path: str, kind: type[T], what: str) -> T:
        """Raises `_Unread`."""
        response = self._get(client, path)
        if response.error:
            raise _Unread(f"the {what} could not be read: {response.error} {response.status}")
        try:
            return decode(response.body, kind)
        except msgspec.DecodeError as error:
            raise _Unread(f"the {what} could not be understood: {error}") from None

    def _get(self, client: HttpClient, path: str) -> Response:
        """A few tries: the platform has just been through faults."""
        response = client.call(api.SETTLE_GET, path, Call.now(), self._token)
        for _ in range(_TRIES):
            if response.error == "" or self._is_over:
                break
            gevent.sleep(_POLL_S)
            response = client.call(api.SETTLE_GET, path, Call.now(), self._token)
        return response

    def _client(self, origin: Origin) -> HttpClient:
        left_s = max(_SHORTEST_S, min(_LIMITS.whole_s, self._ends_s - monotonic()))
        limits = structs.replace(_LIMITS, first_byte_s=min(left_s, _LIMITS.first_byte_s), whole_s=left_s)
        return HttpClient(origin, self._recorder, _OPERATOR, limits)

    @property
    def _is_over(self) -> bool:
        return monotonic() > self._ends_s


class _Unread(Exception):
    """Something of the state at rest that could not be read. The message says why, in one line."""


def _final_seats(venue: api.VenueAnswer, seats: api.SeatsAnswer) -> tuple[FinalSeat, ...]:
    """One row for each character of the map: a seat too many or too few must show."""
    names = {section.name: [seat for row in section.rows for seat in row] for section in api.venue_of(venue).sections}
    return tuple(
        FinalSeat(seat=seat, state=_STATES.get(state, state))
        for section, states in seats.states.items()
        for seat, state in zip(_padded(names.get(section, []), len(states), section), states, strict=False)
    )


def _padded(names: list[str], size: int, section: str) -> list[str]:
    """Seats of the map that the layout does not know are given a name, so that they are counted."""
    return names + [f"{section}-unknown-{number}" for number in range(len(names), size)]
