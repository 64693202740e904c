"""One fan's session with the reference booking system. Writes the operations of the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from time import monotonic
from typing import Final, TypeVar

import msgspec
from sseclient import Event

from harness.platform import (
    Admission,
    Answer,
    Call,
    Hold,
    Order,
    Person,
    Place,
    PreparedRequest,
    QueueNews,
    QueueNewsKind,
    QueueStream,
    SeatMap,
    Venue,
)
from harness.record.schema import INVENTED_CODE, OTHERS_HOLD, TURNED_AWAY, WITHHELD, Function, Outcome
from harness.scenario.codes import INVENTED
from harness.swarm.client import sse
from harness.swarm.client.documents import decode
from harness.swarm.client.http import HttpClient, Response
from harness.swarm.client.sse import EventStream
from harness.swarm.recording.recorder import OpenOperation, Recorder
from scenarios.reference import api
from scenarios.reference.draw import look_at_draw
from scenarios.reference.proof import solve
from scenarios.reference.venue import SharedVenue

T = TypeVar("T")
D = TypeVar("D", bound=msgspec.Struct)

_encode: Final = msgspec.json.Encoder().encode
_NEWS: Final = {kind.value: kind for kind in QueueNewsKind}
_PAST_THE_ENTRANCE: Final = frozenset({409, 422})  # answers about the seats, which a pass comes before
_NOT_DUE: Final = frozenset({403, 404, 410})
_NO_PASS: Final = frozenset({401, 403})
_REFUSED: Final = {QueueNewsKind.REFUSED: TURNED_AWAY}
_SERVICE_UNAVAILABLE: Final = 503
_DIGITS_MAX: Final = 18  # of a number that a column of the record can hold
_LOOK_AT_DRAW: Final = 10  # of the first fans, so many look at what is published of the draw before the opening


class ReferenceFanSession:
    """See `harness.platform.FanSession`."""

    def __init__(
        self,
        client: HttpClient,
        recorder: Recorder,
        person: Person,
        event: str,
        shared: SharedVenue,
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._person = person
        self._shared = shared
        self._event = event
        self._page = f"/queue/{event}"
        self._base = f"/api/events/{event}"
        self._device = f"Device: {person.device or person.actor}\r\n".encode()
        self._code = api.code_header(person.code)
        self.ticket = ""
        self._ticket = b""
        self._pass = b""
        self.last_event_id = ""
        self._is_noted = True
        self._prices_cents: dict[str, int] = {}  # as the layout that this fan read shows them

    @property
    def first_send_s(self) -> float | None:
        """When the first byte was given to a socket."""
        return self._client.first_send_s

    def arm(self, *, warm: bool) -> PreparedRequest | None:
        """Prepare the queue page's request."""
        return self._client.prepare(api.QUEUE_PAGE, self._page) if warm else None

    def use_pass(self, authority: bytes) -> None:
        """From now on with this pass, an Authorization header, as if it had been given for the queue ticket."""
        self._pass = authority + self._device

    def twin(self) -> ReferenceFanSession:
        """The same fan with the same pass, over a connection of its own."""
        twin = ReferenceFanSession(self._client.another(), self._recorder, self._person, self._event, self._shared)
        twin._pass = self._pass
        return twin

    def tab(self) -> ReferenceFanSession:
        """The same fan with the same ticket, over a connection of its own; its stream is not noted."""
        tab = self.twin()
        tab.ticket, tab._ticket, tab._is_noted = self.ticket, self._ticket, False
        return tab

    def close(self) -> None:
        """Drop the connection."""
        self._client.close()

    # The queue.

    def queue_page(self, call: Call) -> Answer[None]:
        """The first request."""
        return _plain(self._client.call(api.QUEUE_PAGE, self._page, call), None)

    def join(self, call: Call) -> Answer[Place]:
        """A place, or while the queue is away a signed ticket for one. First solves what is asked of a new fan."""
        operation = self._begin_join(call)
        response = self._client.call(api.CHALLENGE, f"{self._base}/challenge", operation.call)
        asked = _read(response, api.ChallengeAnswer)
        if asked is None:
            return _never_sent(operation, response)
        solution = self._solution(asked)
        operation.invoke()
        return self._take_place(operation, solution)

    def join_again(self, call: Call) -> Answer[Place]:
        """With the ticket, as the page asks when it is loaded again. A fan with a ticket needs no new proof."""
        operation = self._begin(Function.JOIN, call, key=self._person.actor, value={"again": True})
        return self._take_place(operation, f"Authorization: Queue {self.ticket}\r\n".encode())

    def _begin_join(self, call: Call, *, forged: str = "") -> OpenOperation:
        """`forged`: how the ticket that it shows was, for the history; "" where there is none or it is one's own."""
        if self._person.code == INVENTED:
            forged = INVENTED_CODE
        value = {"ticket": forged} if forged else {}
        if self._person.code:
            value["code"] = blake2b(self._person.code.encode(), digest_size=6).hexdigest()
        return self._begin(Function.JOIN, call, key=self._person.actor, value=value)

    def _solution(self, asked: api.ChallengeAnswer) -> bytes:
        if asked.kind != "proof_of_work":
            return b""
        return f"Challenge: {solve(asked.challenge, self._person.actor, asked.bits)}\r\n".encode()

    def _take_place(self, operation: OpenOperation, headers: bytes) -> Answer[Place]:
        """The join itself, with what was solved or is shown in `headers`."""
        person = self._person
        declared = {"accessible": True} if person.needs_accessible else {}
        body = _encode({"fan": person.actor, "identity": _spelled(person), **declared})
        headers += self._device + self._code + api.JSON_BODY
        response = self._client.call(api.JOIN, f"{self._base}/queue", operation.call, headers, body)
        answer = _read(response, api.JoinAnswer, 200, 201, 202)
        if answer is None:
            return _ended(operation, response, errors={409: TURNED_AWAY}, final=response.status in (401, 403, 409, 422))
        self.ticket = answer.ticket
        self._ticket = f"Authorization: Queue {answer.ticket}\r\n".encode() + self._device
        gathering = answer.opens_at is not None
        parked = answer.position is None and not gathering
        value: dict[str, object] = {"epoch": answer.epoch, "parked": parked, **operation.value}
        if answer.position is not None:
            value["position"] = answer.position
        ended = _ended(operation, response, value=value, result=Place(position=answer.position))
        if gathering and person.user < _LOOK_AT_DRAW:
            look_at_draw(self._client, self._recorder, person, self._base, Call(t_intended_s=ended.t_end_s))
        return ended

    def positions(self, call: Call) -> Answer[QueueStream]:
        """The stream of positions."""
        response, events = sse.connect(
            self._client, api.POSITIONS, f"{self._base}/queue/positions", call, self._ticket, self.last_event_id
        )
        if events is None:
            return _plain(response, None)
        if not PositionStream.understands(events.first):
            events.close()
            return Answer(outcome=Outcome.UNKNOWN, t_end_s=response.t_end_s, error="protocol")
        self.note("connect", response.t_end_s, event_id=self.last_event_id)
        return Answer(outcome=Outcome.OK, t_end_s=response.t_end_s, value=PositionStream(self, events))

    def enter(self, call: Call) -> Answer[Admission]:
        """The pass."""
        operation = self._begin(Function.ENTER, call, key=self._person.actor)
        response = self._client.call(api.ENTER, f"{self._base}/admission", operation.call, self._ticket, b"")
        answer = _read(response, api.EnterAnswer, 200)
        if answer is None:
            errors = {409: "used", 410: "expired", 425: "waiting"}
            return _ended(operation, response, errors=errors, final=response.status in (401, 409, 410))
        self._pass = f"Authorization: Pass {answer.pass_}\r\n".encode() + self._device
        value = {"admission_no": answer.admission_no, "epoch": answer.epoch}
        return _ended(operation, response, value=value, result=Admission(admission_no=answer.admission_no))

    # The seats.

    def venue(self, call: Call) -> Answer[Venue]:
        """The layout."""
        response = self._client.call(api.VENUE, f"{self._base}/venue", call)
        venue = None
        if response.error == "":
            try:
                venue = self._shared.read(response.body)
            except msgspec.DecodeError:
                _misread(response)
        self._prices_cents = venue.prices_cents if venue else {}
        return _plain(response, venue)

    def section_counts(self, call: Call) -> Answer[dict[str, int]]:
        """Free seats per section."""
        operation = self._begin(Function.COUNT, call)
        response = self._client.call(api.SECTION_COUNTS, f"{self._base}/sections", operation.call)
        answer = _read(response, api.CountsAnswer)
        if answer is None:
            return _ended(operation, response)
        value = self._shared.note_counts(answer.counts, stale=answer.stale)
        return _ended(operation, response, value=value, result=answer.counts)

    def seat_map(self, call: Call) -> Answer[SeatMap]:
        """Every seat."""
        operation = self._begin(Function.LOOK, call)
        response = self._client.call(api.SEAT_MAP, f"{self._base}/seats", operation.call)
        answer = _read(response, api.SeatsAnswer)
        if answer is None:
            return _ended(operation, response)
        shown = SeatMap(states=answer.states, stale=answer.stale)
        value = self._shared.note(shown, needs_accessible=self._person.needs_accessible)
        return _ended(operation, response, value=value, result=shown)

    def hold(self, call: Call, seats: tuple[str, ...]) -> Answer[Hold]:
        """Keep seats."""
        declared = {"declared": True} if self._person.needs_accessible else {}
        operation = self._begin(Function.HOLD, call, value={"seats": seats, **declared})
        headers = self._pass + api.JSON_BODY
        body = _encode({"seats": seats})
        response = self._client.call(api.HOLD, f"{self._base}/holds", operation.call, headers, body)
        answer = _read(response, api.HoldAnswer, 201)
        if answer is None:
            final = response.status in (401, 409, 422)
            return _ended(operation, response, errors={409: "conflict", 422: _refusal(response)}, final=final)
        value = {"seats": answer.seats, "ttl_s": answer.ttl_s, "asked": seats, **declared}
        shown_cents = self._shown_cents(answer.seats)
        hold = Hold(hold_id=answer.hold_id, seats=answer.seats, ttl_s=answer.ttl_s, shown_cents=shown_cents)
        return _ended(operation, response, key=answer.hold_id, value=value, result=hold)

    def release(self, call: Call, hold: Hold) -> Answer[None]:
        """Give a hold back."""
        operation = self._begin(Function.RELEASE, call, key=hold.hold_id, value={"seats": hold.seats})
        path = api.hold_path(self._base, hold.hold_id)
        response = self._client.call(api.RELEASE, path, operation.call, self._pass)
        final = response.status in (401, 404, 409, 410)
        return _ended(operation, response, errors={404: "expired", 410: "expired"}, final=final, doubted=True)

    def try_to_release(self, call: Call, hold: Hold) -> None:
        """Give another fan's hold back, as far as the system lets."""
        release, _ = OTHERS_HOLD
        operation = self._begin_try(release, call, hold)
        path = api.hold_path(self._base, hold.hold_id)
        _tried(operation, self._client.call(api.RELEASE, path, operation.call, self._pass))

    def try_to_buy(self, call: Call, hold: Hold, *, key: str) -> None:
        """Pay for another fan's hold, as far as the system lets."""
        _, purchase = OTHERS_HOLD
        operation = self._begin_try(purchase, call, hold)
        _tried(operation, self._post_order(operation.call, hold, key, api.card_of(self._person.actor)))

    def try_to_hold(self, call: Call, seats: tuple[str, ...]) -> None:
        """Ask for seats without a pass, as far as the system lets; what it grants is given back as far as it lets."""
        operation = self._begin(Function.PROBE, call, key="no pass", value={"seats": seats})
        body = _encode({"seats": seats})
        headers = self._device + api.JSON_BODY
        response = self._client.call(api.HOLD_WITHOUT_PASS, f"{self._base}/holds", operation.call, headers, body)
        if response.status in _PAST_THE_ENTRANCE:
            operation.end(Outcome.OK, value={"seats": seats, "status": response.status}, t_end_s=response.t_end_s)
            return
        _tried(operation, response, _NO_PASS)
        if held := _read(response, api.HoldAnswer, 201):
            self._client.call(api.RELEASE, api.hold_path(self._base, held.hold_id), operation.call_now(), self._device)

    def _begin_try(self, way: str, call: Call, hold: Hold) -> OpenOperation:
        return self._begin(Function.PROBE, call, key=way, value={"seats": hold.seats, "hold_id": hold.hold_id})

    # The money.

    def pay(self, call: Call, hold: Hold, *, key: str, declined_on_purpose: bool) -> Answer[Order]:
        """Buy what is held."""
        value: dict[str, object] = {"hold_id": hold.hold_id, "seats": hold.seats}
        value["declined_on_purpose"] = declined_on_purpose
        value["card"] = card = api.card_of(self._person.actor, declined=declined_on_purpose)
        if hold.shown_cents is not None:
            value["shown_cents"] = hold.shown_cents
        operation = self._begin(Function.PAY, call, key=key, value=value)
        response = self._post_order(operation.call, hold, key, card)
        answer = _read(response, api.OrderAnswer, 201, 202)
        if answer is None:
            final = response.status in (401, 402, 410, 422)
            errors = {402: "declined", 410: "expired", 422: _refusal(response)}
            return _ended(operation, response, errors=errors, final=final, doubted=True)
        value |= {"order_id": answer.order_id, "amount_cents": answer.amount_cents, "state": answer.state}
        order = Order(order_id=answer.order_id, state=answer.state)
        return _ended(operation, response, value=value, result=order)

    def _post_order(self, call: Call, hold: Hold, key: str, card: str) -> Response:
        headers = self._pass + api.JSON_BODY + f"Idempotency-Key: {key}\r\n".encode()
        body = _encode({"hold_id": hold.hold_id, "card": card})
        return self._client.call(api.PAY, f"{self._base}/orders", call, headers, body)

    def order(self, call: Call, order_id: str) -> Answer[Order]:
        """How an order stands."""
        operation = self._begin(Function.ORDER, call, key=order_id)
        response = self._client.call(api.ORDER, api.order_path(order_id), operation.call, self._pass)
        return end_order(operation, response)

    def _shown_cents(self, seats: tuple[str, ...]) -> int | None:
        prices = [self._prices_cents.get(seat) for seat in seats]
        return None if None in prices else sum(price for price in prices if price is not None)

    def note(
        self,
        event: str,
        t_s: float,
        *,
        at: float | None = None,
        event_id: str = "",
        position: int | None = None,
        error: str = "",
    ) -> None:
        """One row of EVENTS. `event_id` is `epoch:number`."""
        if not self._is_noted:
            return
        epoch, _, number = event_id.rpartition(":")
        seq = int(number) if number.isdecimal() and len(number) <= _DIGITS_MAX else None
        self._recorder.saw(
            self._person, "positions", event, t_s, t_sent_s=at, epoch=epoch, seq=seq, value=position, key=error
        )

    def _begin(
        self, function: Function, call: Call, *, key: str = "", value: Mapping[str, object] | None = None
    ) -> OpenOperation:
        return self._recorder.begin(self._person, function, call, key=key, value=value or {})


class PositionStream:
    """An open positions stream, noted event by event."""

    def __init__(self, session: ReferenceFanSession, events: EventStream) -> None:
        self._session = session
        self._events = events
        self._followed = True  # until it ends, or the fan leaves it

    def __iter__(self) -> Iterator[QueueNews]:
        session, error = self._session, ""
        while (event := self._events.read()) is not None:  # a generator less for each of thousands who wait
            kind = _NEWS.get(event.event)
            if kind is None:
                continue
            try:
                data = decode(event.data, api.PositionData)
            except msgspec.DecodeError:
                self._events.close()
                error = "protocol"
                break
            session.last_event_id = event.id or ""
            session.note(kind.value, monotonic(), at=data.at, event_id=session.last_event_id, position=data.position)
            self._followed = kind is not QueueNewsKind.ADMITTED
            yield QueueNews(kind=kind, position=data.position, error=_REFUSED.get(kind, ""))
        session.last_event_id = self._events.last_event_id
        self._followed = False
        session.note("disconnect", monotonic(), error=error or self._events.error)

    @staticmethod
    def understands(event: Event | None) -> bool:
        """Whether it is of a kind that is none of our business, or can be read."""
        if event is None or event.event not in _NEWS:
            return True
        try:
            decode(event.data, api.PositionData)
        except msgspec.DecodeError:
            return False
        return True

    @property
    def reconnect_s(self) -> float | None:
        """What its last `retry` field said."""
        return self._events.reconnect_s

    def close(self) -> None:
        """Leave the stream. Who leaves before they are called in is noted to have gone."""
        self._events.close()
        if self._followed:
            self._followed = False
            self._session.note("disconnect", monotonic())


def end_order(operation: OpenOperation, response: Response) -> Answer[Order]:
    """End the look-up of an order, a fan's own or one after settling."""
    answer = _read(response, api.OrderAnswer, 200)
    if answer is None:
        return _ended(operation, response, errors={404: "missing"}, final=response.status == 401)
    value: dict[str, object] = {"state": answer.state, "seats": answer.seats, "amount_cents": answer.amount_cents}
    if answer.stale:
        value["stale"] = True
    return _ended(operation, response, value=value, result=Order(order_id=answer.order_id, state=answer.state))


def _refusal(response: Response) -> str:
    """What a 422 means in the history."""
    if api.says(response, api.WithheldAnswer):
        return WITHHELD
    return "limit" if api.says(response, api.LimitAnswer) else "status"


def _read(response: Response, kind: type[D], *statuses: int) -> D | None:
    """The body of an expected answer; null when it is not one of `statuses` (any expected one without them)."""
    if response.error or (statuses and response.status not in statuses):
        return None
    try:
        return decode(response.body, kind)
    except msgspec.DecodeError:
        _misread(response)
        return None


def _misread(response: Response) -> None:
    """It is no answer: it says something else than it should."""
    response.outcome, response.error = Outcome.UNKNOWN.value, "protocol"


def _plain(response: Response, value: T | None) -> Answer[T]:
    """An answer that is no operation of the history."""
    return Answer(
        outcome=Outcome(response.outcome),
        t_end_s=response.t_end_s,
        value=value,
        error=response.error,
        retry_after_s=response.retry_after_s,
    )


def _never_sent(operation: OpenOperation, response: Response) -> Answer[T]:
    """End an operation that surely did not happen, because `response` to what it needs first was no good."""
    operation.end(Outcome.FAIL, error=response.error, t_end_s=response.t_end_s)
    return Answer(
        outcome=Outcome.FAIL,
        t_end_s=response.t_end_s,
        error=response.error,
        retry_after_s=response.retry_after_s,
        op=operation.op,
    )


def _spelled(person: Person) -> str:
    """Who the fan is. Every other fan writes it in capitals, which makes nobody somebody else: limits apply all the
    same, also to a pair who share an identity.
    """
    return person.identity.upper() if person.user % 2 else person.identity


def _tried(operation: OpenOperation, response: Response, no: frozenset[int] = _NOT_DUE) -> None:
    """End a try of what is not due. Anything but yes and a clear no may be for another reason."""
    clear = Outcome.FAIL if response.status in no else Outcome.UNKNOWN
    outcome = Outcome.OK if 200 <= response.status < 300 else clear
    operation.end(outcome, error="" if outcome is Outcome.OK else "status", t_end_s=response.t_end_s)


def _ended(
    operation: OpenOperation,
    response: Response,
    *,
    key: str | None = None,
    value: Mapping[str, object] | None = None,
    result: T | None = None,
    errors: dict[int, str] | None = None,
    final: bool = False,
    doubted: bool = False,
) -> Answer[T]:
    """End an operation by its response. `errors`: what a status means in the history; `doubted`: see `_outcome`."""
    error = (errors or {}).get(response.status, response.error)
    outcome = _outcome(response, error, doubted=doubted)
    operation.end(outcome, error=error, key=key, value=value, t_end_s=response.t_end_s)
    return Answer(
        outcome=outcome,
        t_end_s=response.t_end_s,
        value=result if outcome is Outcome.OK else None,
        error=error,
        retry_after_s=response.retry_after_s,
        final=final,
        op=operation.op,
    )


def _outcome(response: Response, error: str, *, doubted: bool) -> Outcome:
    """What the client may conclude.

    A server error may have come after the deed: unknown. A 503 says that it was not tried, which is believed unless
    `doubted`: of money, and of giving seats back, after which a repeat finds them gone.
    """
    server_error = response.status >= 500 and (doubted or response.status != _SERVICE_UNAVAILABLE)
    if server_error or response.outcome == Outcome.UNKNOWN:
        return Outcome.UNKNOWN
    return Outcome.FAIL if error else Outcome.OK
