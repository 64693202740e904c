"""Runs one verb of an adapter: how it ended, whatever it raised, and a fault of the adapter named by file and line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import msgspec

from harness.adapter.browsing.browser import Browser
from harness.adapter.errors import AdapterFault, Admitted, NoAnswer, Refused, VerbHung
from harness.adapter.running.guard import GUARD
from harness.adapter.values import WrongTypeError
from harness.platform import Answer, Call, Person
from harness.record.schema import Outcome
from harness.swarm.recording.recorder import OpenOperation
from harness.swarm.users.crashes import authors_place, place_of, shown_place

T = TypeVar("T")
R = TypeVar("R")

_SERVICE_UNAVAILABLE: Final = 503
ADAPTER: Final = "adapter"
"""The error of an operation that ended because its adapter failed."""


class Ended(msgspec.Struct, Generic[T], frozen=True):
    """How a verb ended. `value`: what it returned, when `outcome` is ok.

    `detail` and `where` are for people: what was wrong, and file:line of the adapter, which is only known in a check.
    """

    outcome: Outcome
    t_end_s: float
    value: T | None = None
    error: str = ""
    final: bool = False
    retry_after_s: float | None = None
    resume: object = None
    admitted: bool = False
    detail: str = ""
    where: str = ""

    def answer(self, value: R | None = None, *, op: int | None = None) -> Answer[R]:
        """The same for the journey."""
        return Answer(
            outcome=self.outcome,
            t_end_s=self.t_end_s,
            value=value if self.outcome is Outcome.OK else None,
            error=self.error,
            retry_after_s=self.retry_after_s,
            final=self.final,
            op=op,
        )


class VerbRunner:
    """Runs the verbs of one fan. `told`: what a check wants to know of each, as it ends."""

    __slots__ = ("browser", "person", "told")

    def __init__(self, browser: Browser, person: Person) -> None:
        self.browser = browser
        self.person = person
        self.told: Callable[[str, Ended[Any] | AdapterFault], None] | None = None

    def run(
        self,
        verb: Callable[[], T],
        step: str,
        call: Call,
        *,
        operation: OpenOperation | None = None,
        doubted: bool = False,
    ) -> Ended[T]:
        """Run it to its end. `doubted`: even a 503 may hide that it happened. Raises `AdapterFault`."""
        intended = call if operation is None else operation.call
        self.browser.begin(step, intended, operation.invoke if operation else None)
        with GUARD.watching(self.browser):
            return self.run_on(verb, operation=operation, doubted=doubted)

    def run_on(
        self, verb: Callable[[], T], *, operation: OpenOperation | None = None, doubted: bool = False
    ) -> Ended[T]:
        """The same within a verb that has begun, e.g. the next event of a stream, and without a limit of time."""
        browser = self.browser
        try:
            ended = Ended(Outcome.OK, 0.0, verb())
        except Admitted:
            ended = Ended(Outcome.OK, 0.0, admitted=True)
        except Refused as refused:
            ended = Ended(
                Outcome.UNKNOWN if refused.unknown else Outcome.FAIL,
                0.0,
                error=browser.site.word(refused.error),
                final=refused.final,
                retry_after_s=refused.retry_after_s,
                resume=refused.resume,
                where=self._place(refused, verb),
            )
        except NoAnswer as failure:
            ended = self._unanswered(failure, verb, doubted=doubted)
        except (Exception, SystemExit, VerbHung) as error:  # an exit() would end all fans of this process
            fault = self._fault(error, verb)
            if operation is not None:
                operation.end(Outcome.UNKNOWN, error=ADAPTER, t_end_s=None)
            self._tell(verb, fault)
            raise fault.with_traceback(error.__traceback__) from error
        ended = msgspec.structs.replace(ended, t_end_s=browser.t_end_s or monotonic())
        self._tell(verb, ended)
        return ended

    def _unanswered(self, failure: NoAnswer, verb: Callable[[], Any], *, doubted: bool) -> Ended[Any]:
        """Unknown when something may have happened: by an earlier request of the verb, or by the one that failed."""
        status = failure.status
        server_error = status >= 500 and (doubted or status != _SERVICE_UNAVAILABLE)
        in_doubt = failure.acts and (not status or server_error or failure.error == "protocol")
        acted = self.browser.acted > 0 or in_doubt
        return Ended(
            Outcome.UNKNOWN if acted else Outcome.FAIL,
            0.0,
            error=self.browser.site.word(failure.error),
            retry_after_s=failure.retry_after_s,
            detail=str(failure),
            where=self._place(failure, verb),
        )

    def _place(self, error: BaseException, verb: Callable[[], Any]) -> str:
        """Where the adapter was, for a check; a rehearsal of thousands has no use for it."""
        return (authors_place(error.__traceback__) or defined_at(verb)) if self.told is not None else ""

    def _fault(self, error: BaseException, verb: Callable[[], Any]) -> AdapterFault:
        name = name_of(verb)
        who = f"{name} of {self.person.actor}"
        if isinstance(error, WrongTypeError):
            return AdapterFault(f"{who}: {error}", defined_at(verb))
        where = place_of(error.__traceback__)
        if isinstance(error, VerbHung):
            return AdapterFault(f"{who}: it did not end within its time", where)
        if isinstance(error, NotImplementedError) and not str(error):
            return AdapterFault(f"{who}: the adapter has no such verb", defined_at(verb))
        words = str(error) if isinstance(error, AdapterFault) else f"{type(error).__name__}: {error}"
        return AdapterFault(f"{who}: {words}", where)

    def _tell(self, verb: Callable[[], Any], how: Ended[Any] | AdapterFault) -> None:
        if self.told is not None:
            self.told(name_of(verb), how)


def verb_of(work: Callable[[], T], name: str, place: Callable[..., Any]) -> Callable[[], T]:
    """What does a verb's work, with the verb's name and where the adapter has it."""
    work.__name__ = name
    work.__wrapped__ = place  # type: ignore[attr-defined]
    return work


def name_of(verb: Callable[..., Any]) -> str:
    """What the verb is called."""
    return getattr(verb, "__name__", "a verb")


def defined_at(verb: Callable[..., Any]) -> str:
    """file:line of the verb itself; of the adapter's class, where the verb is the kit's own."""
    found = getattr(verb, "__wrapped__", verb)
    function = getattr(found, "__func__", found)
    if getattr(function, "__module__", "").startswith("harness.adapter"):
        owner = getattr(found, "__self__", None)
        return "" if owner is None else class_place(type(owner))
    code = getattr(function, "__code__", None)
    return "" if code is None else shown_place(code.co_filename, code.co_firstlineno)


def class_place(kind: type) -> str:
    """file:line of a class; "" when it has no source."""
    try:
        file = inspect.getsourcefile(kind)
        return "" if file is None else shown_place(file, inspect.getsourcelines(kind)[1])
    except (OSError, TypeError):
        return ""
