"""What an adapter declares, and what is wrong with it as it is written: found without a request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import gevent

from harness.adapter.checking.report import Description, Problem
from harness.adapter.platform import ShopPlatform, capabilities_of
from harness.adapter.running.verbs import class_place, defined_at
from harness.adapter.shopper import VERBS, Shopper, is_written
from harness.adapter.values import Basket
from harness.errors import InputError
from harness.registry.capabilities import Capability
from harness.swarm.users.loader import load_class

_LOADED_WITHIN_S: Final = 20.0
_READS: Final = {
    Capability.ORDER_EXPORT: "orders",
    Capability.LEDGER_EXPORT: "ledger",
    Capability.SWEEP: "sweep_seats",
    Capability.PROBES: "let_in",
}
_VERBS_OF_PLATFORM: Final = ("fan_session", "final_reads")
_Arguments = tuple[tuple[object, ...], dict[str, object]]
_CALLS: Final[dict[str, _Arguments]] = {
    **dict.fromkeys(("open", "join", "place", "positions", "enter"), ((), {})),
    **dict.fromkeys(("shown_seats", "venue", "seats", "left", "basket"), ((), {})),
    "reserve": (("", 1), {}),
    "reserve_seats": ((("",),), {}),
    "feed": ((None,), {}),
    "give_back": ((Basket(),), {}),
    "buy": ((Basket(), ""), {"declined": False}),
    "look_up": (("",), {}),
    "resume_reserve": (("", 1, None), {}),
    "resume_buy": ((Basket(), "", None), {}),
}
_CALLS_OF_OPERATOR: Final[dict[str, _Arguments]] = {
    **dict.fromkeys(("stock", "seats", "orders", "ledger", "at_rest"), ((None,), {})),
    "sweep_seats": ((None, ()), {}),
    "let_in": ((None, None), {}),
}


def describe(reference: str) -> Description:
    """The adapter that "FILE:CLASS" names. Raises `InputError` when it cannot be loaded."""
    with gevent.Timeout(_LOADED_WITHIN_S, TimeoutError(f"it takes more than {_LOADED_WITHIN_S:g} s")):
        kind = load_class(reference)
    if not issubclass(kind, ShopPlatform):
        return _describe_foreign(reference, kind)
    where = class_place(kind)
    try:
        capabilities = capabilities_of(kind)
    except InputError as error:
        problem = Problem(str(error), where)
        return Description(adapter=reference, uses_kit=True, capabilities=(), problems=(problem,))
    problems = [*_problems(kind, capabilities, where)]
    return Description(
        adapter=reference,
        uses_kit=True,
        capabilities=_sorted(capabilities),
        has_bots=kind.bot_session is not ShopPlatform.bot_session,
        problems=tuple(problems),
        hints=tuple(_undeclared(kind.shopper, capabilities)) if not problems else (),
    )


def _describe_foreign(reference: str, kind: type) -> Description:
    """An adapter without the kit: what it can show, only an instance may know."""
    declared = inspect.getattr_static(kind, "capabilities", None)
    missing = [verb for verb in _VERBS_OF_PLATFORM if not callable(getattr(kind, verb, None))]
    problems = [Problem(f"{kind.__name__} has no {verb}", class_place(kind)) for verb in missing]
    if declared is None:
        problems.append(Problem(f"{kind.__name__} declares no capabilities", class_place(kind)))
    shown = () if declared is None or isinstance(declared, property) else _sorted(capabilities_of(kind))
    has_bots = callable(getattr(kind, "bot_session", None))
    return Description(
        adapter=reference, uses_kit=False, capabilities=shown, has_bots=has_bots, problems=tuple(problems)
    )


def _problems(kind: type[ShopPlatform], capabilities: frozenset[Capability], where: str) -> Iterator[Problem]:
    shopper = kind.shopper
    if not (isinstance(shopper, type) and issubclass(shopper, Shopper)):
        yield Problem(f"{kind.__name__}.shopper is {shopper!r}, not a subclass of Shopper", where)
        return
    if not capabilities & {Capability.SEATS, Capability.STOCK}:
        yield Problem(f"{kind.__name__} declares neither STOCK nor SEATS: there is nothing to buy", where)
    if Capability.SAME_KEY in capabilities and not shopper.same_key_same_purchase:
        yield Problem("SAME_KEY is declared by same_key_same_purchase = True of the Shopper", class_place(shopper))
    for capability in sorted(capabilities):
        for group in VERBS.get(capability, ()):
            if not any(is_written(shopper, verb) for verb in group):
                what = f"{capability.name} is declared, and {shopper.__name__} has no {' or '.join(group)}"
                yield Problem(what, class_place(shopper))
        read = _READS.get(capability)
        if read and getattr(kind, read) is getattr(ShopPlatform, read):
            yield Problem(f"{capability.name} is declared, and {kind.__name__} has no {read}", where)
    if why := _no_refusals(shopper.refusals):
        yield Problem(f"{shopper.__name__}.refusals {why}", class_place(shopper))
    yield from _wrong_signatures(Shopper, shopper, _CALLS)
    yield from _wrong_signatures(ShopPlatform, kind, _CALLS_OF_OPERATOR)
    if why := _misfit(shopper.__init__, ((), {})):
        what = f"it must take (self), for customers are made without arguments: {why}"
        yield Problem(what, defined_at(shopper.__init__), "__init__")


def _no_refusals(refusals: object) -> str:
    """Why these are not what the shop says → a word; "" when they are."""
    if not isinstance(refusals, Mapping):
        return f"is {refusals!r}, not what the shop says → the word of Refused"
    for said, word in refusals.items():
        if not isinstance(said, int | str) or not isinstance(word, str):
            return f"has {said!r}: {word!r}; it is a status, a code or words: the word of Refused"
    return ""


def _wrong_signatures(base: type, kind: type, calls: Mapping[str, _Arguments]) -> Iterator[Problem]:
    for verb, arguments in calls.items():
        function = getattr(kind, verb)
        if not callable(function):
            yield Problem(f"{kind.__name__}.{verb} is {function!r}, not a method", class_place(kind), verb)
        elif why := _misfit(function, arguments):
            wanted = str(inspect.signature(getattr(base, verb)))
            yield Problem(f"it must take {wanted}: {why}", defined_at(function), verb)


def _misfit(function: Callable[..., Any], arguments: _Arguments) -> str:
    """Why a method cannot be called so; "" when it can."""
    try:
        inspect.signature(function).bind(None, *arguments[0], **arguments[1])
    except TypeError as error:
        return str(error)
    return ""


def _undeclared(shopper: type[Shopper], capabilities: frozenset[Capability]) -> Iterator[str]:
    for capability, groups in VERBS.items():
        own = [verb for group in groups for verb in group if verb != "buy" and is_written(shopper, verb)]
        if own and capability not in capabilities:
            yield f"{shopper.__name__} has {own[0]}, and {capability.name} is not declared: it is never used"


def _sorted(capabilities: frozenset[Capability]) -> tuple[str, ...]:
    return tuple(sorted(capability.value for capability in capabilities))
