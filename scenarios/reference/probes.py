"""Ways past the queue of the reference booking system, tried once after every run. Each must end before a hold.

The prober queues honestly to have a ticket and a pass of its own, and then shows others what it should not: no pass, a
ticket for a pass, no access code or a used one where the sale asks for codes, a pass or a ticket rewritten to somebody
else, a pass or a ticket from a device that it was not given to, and a pass that is over or of another event (which the
operator asks for: in the time of a rehearsal no pass gets that old, and nothing else is on sale).

The system looks at the pass before it looks at the seats, so it does not matter whether the seat is free: 401 and 403
are the entrance's answers, and a 409 or 422 shows that the try got past it.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

import gevent
import msgspec

from harness.platform import Addresses, Call, Person
from harness.record.schema import Function, Outcome
from harness.swarm.client.http import Endpoint, HttpClient, Response
from harness.swarm.client.transport import ClientLimits, Origin
from harness.swarm.recording.recorder import OpenOperation, Recorder
from scenarios.reference import api
from scenarios.reference.bot import renamed, rewritten
from scenarios.reference.proof import solve

_PROBER: Final = Person(user=-1, kind="operator", actor="prober", identity="prober", device="prober-device")
_OTHER: Final = Person(user=-1, kind="operator", actor="prober-other", identity="prober-other", device="other-device")
_POST: Final = Endpoint("settle", "POST", frozenset({200, 201, 202, 401, 403, 409, 410, 422, 425}))
_REFUSED: Final = frozenset({401, 403})
_NO_PLACE: Final = _REFUSED | {409}  # 409: the access code has been used
_PAST_THE_ENTRANCE: Final = frozenset({409, 422})
_GRANTED: Final = 201
_WAITING: Final = 425
_CALLED_WITHIN_S: Final = 4.0
_POLL_S: Final = 0.25
_LIMITS: Final = ClientLimits(connect_s=2.0, first_byte_s=2.0, whole_s=2.0)  # of each step of each way
_BITS_MAX: Final = 20  # a harder proof of work is not worth a probe


class Prober:
    """Tries to get `seat` past the queue. Whatever it is granted it gives back.

    `expired`: a pass that is over, `elsewhere`: one of another event, "" for none.
    """

    def __init__(
        self,
        booking: Origin,
        addresses: Addresses,
        recorder: Recorder,
        seat: str,
        *,
        expired: str = "",
        elsewhere: str = "",
    ) -> None:
        self._recorder = recorder
        self._client = HttpClient(booking, recorder, _PROBER, _LIMITS)
        self._granted = {"expired pass": expired, "pass of another event": elsewhere}
        self._base = f"/api/events/{addresses.event}"
        self._seat = seat
        self._code = addresses.code

    def run(self) -> None:
        """Every way there is a token for; the platform's answers go into the history."""
        try:
            self._hold(self._begin("no pass"), b"")
            for way, granted in self._granted.items():
                if granted:
                    self._hold(self._begin(way), _authority("Pass", granted, _PROBER))
            ticket, _ = self._join(b"", _PROBER, self._proof(_PROBER), code=self._code)
            if not ticket:
                return
            if self._code:
                self._by_join("no access code", proof=self._proof(_OTHER))
                self._by_join("used access code", proof=self._proof(_OTHER), code=self._code)
            self._hold(self._begin("ticket for a pass"), _authority("Pass", ticket, _PROBER))
            self._with_tampered_ticket(ticket)
            pass_, _ = self._enter(ticket, _PROBER)
            if pass_ and (tampered := renamed(pass_, _OTHER)):
                self._hold(self._begin("tampered pass"), _authority("Pass", tampered, _OTHER))
            if pass_:
                self._hold(self._begin("shared pass"), _authority("Pass", pass_, _OTHER))
                self._come_in(self._begin("shared ticket"), ticket)
        finally:
            self._client.close()

    def _with_tampered_ticket(self, ticket: str) -> None:
        tampered = rewritten(ticket, _OTHER)
        if not tampered:
            return
        self._by_join("tampered ticket", _authority("Queue", tampered, _OTHER))

    def _by_join(self, way: str, authority: bytes = b"", proof: bytes = b"", *, code: str = "") -> None:
        """From a place in line that the platform gives another to a hold, as far as it lets."""
        operation = self._begin(way)
        joined, refused = self._join(authority, _OTHER, proof, operation, code=code)
        if joined:
            self._come_in(operation, joined)
        else:
            _turned_away(operation, refused=refused)

    def _come_in(self, operation: OpenOperation, ticket: str) -> None:
        """From another's ticket to a hold, as far as the platform lets."""
        pass_, refused = self._enter(ticket, _OTHER, operation)
        if pass_:
            self._hold(operation, _authority("Pass", pass_, _OTHER))
        else:
            _turned_away(operation, refused=refused)

    def _hold(self, operation: OpenOperation, headers: bytes) -> None:
        """The last step of each way."""
        body = msgspec.json.encode({"seats": [self._seat]})
        answer = self._post("/holds", headers + api.JSON_BODY, body, operation)
        granted = api.read(answer, api.HoldAnswer) if answer.status == _GRANTED else None
        if granted:
            operation.end(Outcome.OK, t_end_s=answer.t_end_s)
            path = api.hold_path(self._base, granted.hold_id)
            self._client.call(api.SETTLE_DELETE, path, operation.call_now(), headers)
        elif answer.status in _PAST_THE_ENTRANCE:
            operation.end(Outcome.OK, value={"seats": [self._seat], "status": answer.status}, t_end_s=answer.t_end_s)
        else:
            _turned_away(operation, refused=answer.status in _REFUSED)

    def _begin(self, way: str) -> OpenOperation:
        return self._recorder.begin(_PROBER, Function.PROBE, Call.now(), key=way, value={"seats": [self._seat]})

    def _proof(self, person: Person) -> bytes:
        asked = api.read(self._client.call(api.SETTLE_GET, f"{self._base}/challenge", Call.now()), api.ChallengeAnswer)
        if asked is None or asked.kind != "proof_of_work" or asked.bits > _BITS_MAX:
            return b""
        return f"Challenge: {solve(asked.challenge, person.actor, asked.bits)}\r\n".encode()

    def _join(
        self, authority: bytes, bearer: Person, proof: bytes, operation: OpenOperation | None = None, *, code: str = ""
    ) -> tuple[str, bool]:
        """A ticket, "" for none; and whether it was refused for good."""
        body = msgspec.json.encode({"fan": bearer.actor, "identity": bearer.identity})
        headers = (authority or _device(bearer)) + api.code_header(code) + proof + api.JSON_BODY
        answer = self._post("/queue", headers, body, operation)
        joined = api.read(answer, api.JoinAnswer)
        return joined.ticket if joined else "", answer.status in _NO_PLACE

    def _enter(self, ticket: str, bearer: Person, operation: OpenOperation | None = None) -> tuple[str, bool]:
        """A pass, "" for none; and whether it was refused for good. Waits a moment to be called in."""
        until_s = monotonic() + _CALLED_WITHIN_S
        while True:
            answer = self._post("/admission", _authority("Queue", ticket, bearer), b"", operation)
            if answer.status != _WAITING or monotonic() > until_s:
                break
            gevent.sleep(_POLL_S)
        entered = api.read(answer, api.EnterAnswer)
        return entered.pass_ if entered else "", answer.status in _REFUSED

    def _post(self, path: str, headers: bytes, body: bytes, operation: OpenOperation | None) -> Response:
        """`operation`: the probe that it belongs to; null: the prober's own honest way to a pass."""
        call = operation.call_now() if operation else Call.now()
        return self._client.call(_POST, f"{self._base}{path}", call, headers, body)


def _authority(scheme: str, token: str, bearer: Person) -> bytes:
    return f"Authorization: {scheme} {token}\r\n".encode() + _device(bearer)


def _turned_away(operation: OpenOperation, *, refused: bool) -> None:
    """Refused is a clear answer; anything else may be for another reason than the forgery, and says nothing."""
    outcome = Outcome.FAIL if refused else Outcome.UNKNOWN
    operation.end(outcome, error="status", t_end_s=monotonic())


def _device(bearer: Person) -> bytes:
    return f"Device: {bearer.device}\r\n".encode()
