"""How a verb of an adapter ends when it does not succeed: refused, unanswered, admitted, or by a fault of its own."""

from __future__ import annotations

from typing import Final

_OPEN_REFUSALS: Final = frozenset({"missing"})


class Refused(Exception):
    """The platform said no. An adapter raises it from a verb.

    `error`: the record's word. "conflict": nothing is left, or a seat is taken, which with
    NO_HOLD shows at `buy`; "limit": more than one customer may
    have; "accessible": the seats are kept for who needs them;
    "declined": the card; "expired": the basket or the place; "missing": there is no such order; "not_drawn":
    lots were drawn, and this fan's was not among them; any other word of your own. `final`: another try cannot
    succeed; when it is not given, a refusal is final unless it is `unknown`, "missing", or names a time. `unknown`:
    it may have happened all the same. `resume`: handed to `resume_reserve` or `resume_buy` when the fan tries again
    after an unknown end, e.g. the address of a page that shows it.
    """

    def __init__(
        self,
        error: str,
        *,
        final: bool | None = None,
        unknown: bool = False,
        retry_after_s: float | None = None,
        resume: object = None,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.unknown = unknown
        self.retry_after_s = retry_after_s
        self.resume = resume
        self.final = not unknown and retry_after_s is None and error not in _OPEN_REFUSALS if final is None else final


class Admitted(Exception):
    """The fan is called in: raised by `Shopper.place` (or by `join`, where there is nobody to wait for)."""


class NoAnswer(Exception):
    """A request got no answer that could be used. The kit ends the verb by it; an adapter need not catch it.

    `error`: a word of `harness.record.schema.ERRORS`, or "host" for a host that is not allowed. `status`: 0 without an
    answer. `acts`: the request itself may have changed something. `detail`: for people, one line.
    """

    def __init__(
        self,
        error: str,
        *,
        detail: str = "",
        status: int = 0,
        acts: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail or error)
        self.error = error
        self.status = status
        self.acts = acts
        self.retry_after_s = retry_after_s


class AdapterFault(Exception):
    """The adapter itself failed: an exception, a value of the wrong type, or no end. `where`: file:line or ""."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class MissingNameError(KeyError):
    """An adapter asks for a name that the scenario does not give."""

    def __str__(self) -> str:
        return str(self.args[0])


class VerbHung(BaseException):
    """Thrown into a verb that takes longer than its requests can explain."""
