"""One purchase by one fan before any load: what is wrong is found here, with the adapter's file and line."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

import gevent
import msgspec

from harness.adapter.checking.describe import describe
from harness.adapter.checking.report import Problem, TrialReport, TrialSpec, TriedVerb
from harness.adapter.checking.walk import NotDrawn, Stopped, Walk
from harness.adapter.errors import AdapterFault
from harness.adapter.platform import ShopPlatform
from harness.adapter.running.at_rest import is_an_actor
from harness.errors import InputError
from harness.platform import FinalOrder, Hold, Order, Person
from harness.registry.capabilities import Capability
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.loader import load_class
from harness.yaml_file import suggest

_OPERATORS_READS: Final = frozenset({Capability.ORDER_EXPORT, Capability.LEDGER_EXPORT, Capability.STOCK})
_BOUGHT: Final = frozenset({"confirmed", "pending"})
_PAUSE_S: Final = 0.5
_DRAWN_WITHIN: Final = 2  # fans: as many as have rows in the people file


class Trial:
    """An adapter on its platform, with the fans that try it."""

    def __init__(self, spec: TrialSpec) -> None:
        """Raises `InputError` when the adapter cannot be loaded, or lacks something of its environment."""
        self.begun_s = monotonic()
        self.spec = spec
        self.told: list[TriedVerb] = []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        described = describe(spec.adapter)
        self.capabilities = described.capabilities
        self.problems += described.problems
        self.notes += described.hints
        self.platform: ShopPlatform | None = None
        self._run = secrets.token_hex(3)
        self._fans = 0
        self.purchase_acts = 0
        if not described.uses_kit:
            self.notes.append("the adapter does not use the kit: its verbs are only tried by the rehearsal itself")
        elif not self.problems:
            self.platform = load_class(spec.adapter)(spec.addresses, Recorder(0))

    def new_walk(self) -> Walk:
        """One more fan. Raises `InputError` when the people file has no row left for them, `Stopped` when the adapter
        cannot make them."""
        assert self.platform is not None  # noqa: S101 - asked only where there is one
        number, self._fans = self._fans, self._fans + 1
        if not self.platform.people_count:
            actor = f"check-{self._run}-{number}"
            person = Person(user=number, kind="fan", actor=actor, identity=actor)
            return self._walk(person)
        user = self.platform.people_count - 1 - number
        if user < 0:
            raise InputError(f"platform.people has too few rows to try fan {number + 1} with", hint="add a few rows")
        if user < self.spec.people_from:
            self.notes.append(f"row {user + 2} of the people file was used here; a fan of the run uses it again")
        actor = f"fan-{user:06d}"
        return self._walk(Person(user=user, kind="fan", actor=actor, identity=actor))

    def _walk(self, person: Person) -> Walk:
        assert self.platform is not None  # noqa: S101
        try:
            return Walk(self.platform, person, self.told, self.problems)
        except AdapterFault as fault:
            self.problems.append(Problem(str(fault), fault.where))
            raise Stopped from None

    def report(self) -> TrialReport:
        """What came of it, without the values of secrets."""
        hide = self.platform.site.hide if self.platform is not None else str
        problems = tuple(
            msgspec.structs.replace(problem, what=hide(problem.what), last=hide(problem.last))
            for problem in dict.fromkeys(self.problems)
        )
        verbs = tuple(msgspec.structs.replace(told, detail=hide(told.detail)) for told in self.told)
        return TrialReport(
            ok=not problems,
            capabilities=self.capabilities,
            problems=problems,
            verbs=verbs,
            notes=tuple(map(hide, dict.fromkeys(self.notes))),
            seconds=round(monotonic() - self.begun_s, 1),
            purchase_acts=self.purchase_acts,
        )

    def read_as_operator(self) -> None:
        """The operator's pages: a wrong token is found here."""
        assert self.platform is not None  # noqa: S101
        self.problems += map(noted, self.platform.reads_now().notes)


def try_purchase(spec: TrialSpec) -> TrialReport:
    """One purchase by one fan, and the operator's pages."""
    trial = Trial(spec)
    if trial.platform is not None:
        trial.read_as_operator()
        with suppress(Stopped):
            _try_to_buy(trial, spec.quantity)
    return trial.report()


def _try_to_buy(trial: Trial, quantity: int) -> None:
    """By somebody else, where lots are drawn and the first has none. Raises `Stopped`."""
    for _ in range(_DRAWN_WITHIN):
        with suppress(NotDrawn):
            _buy(trial, trial.new_walk(), quantity)
            return
    trial.notes.append(f"none of {_DRAWN_WITHIN} fans was drawn by lot: no purchase was tried before the load")


def _buy(trial: Trial, walk: Walk, quantity: int) -> None:
    """Raises `Stopped` at the first verb that does not succeed."""
    try:
        walk.come_in()
        pool, seats = walk.choose()
        require_declared(trial, walk)
        hold = walk.take(pool, seats, quantity)
        order = walk.need("buy", walk.buying(hold, f"{walk.person.actor}-trial"))
        trial.purchase_acts = walk.session.shopper.browser.acted
        walk.settle(order)
        if order.state in _BOUGHT and Capability.ORDER_EXPORT in trial.capabilities:
            _require_exported(trial, walk, order, hold)
    finally:
        walk.session.close()


def require_declared(trial: Trial, walk: Walk) -> None:
    """Of each pool that fans are shown the rules declare the stock, and of no other: else nobody can judge by them."""
    assert trial.platform is not None  # noqa: S101
    declared, shown = trial.platform.rules.stock, sorted(walk.shown)
    if declared is None or not shown:
        return
    if isinstance(declared, int):
        if len(shown) > 1:
            names = ", ".join(f"{name}: …" for name in shown)
            what = f"it is one number, and there are {len(shown)} pools: give a number for each, {{{names}}}"
            trial.problems.append(Problem(what, verb="platform.rules.stock"))
        else:
            _note_more_left(trial, walk, {shown[0]: declared})
        return
    at_rest = {pool.pool for pool in trial.platform.reads_now().stock or ()}
    for name in sorted(declared.keys() - at_rest - set(shown)):
        hint = suggest(name, shown) or f"there are {', '.join(shown)}"
        trial.problems.append(Problem(f"there is no pool {name!r}: {hint}", verb="platform.rules.stock"))
    for name in sorted(set(shown) - declared.keys()):
        what = f"how many there are of the pool {name!r} is not declared: whether it is oversold could not be told"
        trial.problems.append(Problem(what, verb="platform.rules.stock"))
    _note_more_left(trial, walk, declared)


def _note_more_left(trial: Trial, walk: Walk, declared: Mapping[str, int]) -> None:
    """A shop that shows more than its rules declare oversells as soon as all is sold: a rule, or `prepare`, is old."""
    for name, free in walk.shown.items():
        if free is not None and free > declared.get(name, free):
            trial.notes.append(
                f"{free:,} of {name} are left, and platform.rules.stock has {declared[name]:,}: as it stands, "
                "no_oversell is violated when they are sold"
            )


def _require_exported(trial: Trial, walk: Walk, order: Order, hold: Hold) -> None:
    """The operator's export has the order: one that it never shows would be a lost booking of each fan of the run."""
    assert trial.platform is not None  # noqa: S101
    tickets, within_s = len(hold.seats) or hold.quantity, trial.platform.rules.at_rest_within_s
    ends_s = monotonic() + within_s
    rows: list[FinalOrder] = []
    while not rows:
        reads = trial.platform.reads_now()
        if reads.orders is None:
            trial.problems += map(noted, reads.notes)
            raise Stopped
        rows = [row for row in reads.orders if row.order_id == order.order_id]
        if not rows and monotonic() > ends_s:
            what = (
                f"the export has no order {order.order_id!r} within {within_s:g} s, which {walk.person.actor} was given"
            )
            walk.stop("orders", f"{what}: has it another name there, or is it on a later page?")
        gevent.sleep(_PAUSE_S if not rows else 0.0)
    bought = sum(row.quantity for row in rows)
    if bought != tickets:
        walk.stop("orders", f"{tickets} were bought, and the export shows {bought} in order {order.order_id!r}")
    if otherwise := charged_otherwise(hold, rows):
        trial.notes.append(f"{otherwise}: as it stands, charged_as_shown is violated")
    for fan in sorted({row.fan for row in rows} - {walk.person.actor}):
        what = f"the export shows the order of {walk.person.actor} as that of {fan or 'nobody'}"
        if is_an_actor(fan):
            walk.stop("orders", what)
        mend = "give the shop self.email, or a value of the fan's row, and yield that as ExportedOrder.fan"
        trial.notes.append(
            f"{what}: as it stands, the run gets no verdict, for nobody can tell whose an order is ({mend})"
            if fan
            else f"{what}: whether a fan has more orders than they asked for cannot be told ({mend})"
        )


def charged_otherwise(hold: Hold, rows: Sequence[FinalOrder]) -> str:
    """How the price of an exported order differs from what its fan was shown, and what to do; "" for not."""
    cents = sum(row.amount_cents for row in rows)
    if hold.shown_cents is None or cents == hold.shown_cents:
        return ""
    mend = (
        "if that is a fee which the fan sees, tell it in Basket.cents, or declare it in platform.rules.order_fee_cents"
    )
    return f"{hold.shown_cents} cents were shown, and the order is of {cents} ({mend} or ticket_fee_cents)"


def noted(note: str) -> Problem:
    """A note of the final reads, which may begin with file:line."""
    where, _, what = note.partition(": ")
    return Problem(what, where) if where.rpartition(":")[2].isdecimal() else Problem(note)
