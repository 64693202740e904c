"""Words of the report: titles of invariants, steps and indicators, and the mark of each state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar, cast

import msgspec

from harness.record.schema import Struct
from harness.registry.invariants import INVARIANTS
from reports.text import sentence

T = TypeVar("T")

_STEPS: Final = {
    "queue_page": "First page",
    "positions": "Positions (first event)",
    "feed": "Seat feed (first message)",
    "challenge": "Challenge at the entrance",
    "enter": "Admission",
    "order": "Order look-up",
}

_REASONS: Final = {
    "conflict": "somebody else was faster",
    "declined": "card declined",
    "accessible": "asked for accessible seats without the need",
    "expired": "hold had expired",
    "timeout": "timed out",
    "reset": "connection cut",
    "refused": "refused",
    "status": "error status",
    "pending": "payment still pending",
    "refunded": "refunded",
    "mixed": "order with seats in several states",
    "lost": "told of an order that is not there at rest",
    "unknown": "without an answer",
    "sold_out": "found nothing left",
    "not_drawn": "not drawn by lot",
    "turned_away": "turned away: the access code or identity had let another in",
    "nothing_suitable": "found too little for their party",
    "stopped": "still under way when the run ended",
    "ports_exhausted": "generator out of ports",
    "fds_exhausted": "generator out of file descriptors",
}


class State(Struct, frozen=True):
    """How a state looks. `tone` picks a colour; the glyph says the same without colour."""

    word: str
    tone: str  # good | bad | warn | quiet
    glyph: str


_STATES: Final = {
    "held": State(word="held", tone="good", glyph="✓"),
    "violated": State(word="violated", tone="bad", glyph="✕"),
    "unknown": State(word="unknown", tone="warn", glyph="?"),
    "not_observable": State(word="not observable", tone="quiet", glyph="○"),
    "not_exercised": State(word="not exercised", tone="warn", glyph="○"),
    "met": State(word="met", tone="good", glyph="✓"),
    "missed": State(word="missed", tone="bad", glyph="✕"),
    "no_samples": State(word="no samples", tone="warn", glyph="?"),
    "no_objective": State(word="no objective", tone="quiet", glyph="○"),
    "gap_short": State(word="short enough", tone="good", glyph="✓"),
    "gap_long": State(word="stood still", tone="warn", glyph="!"),
    "VALID": State(word="VALID", tone="good", glyph="✓"),
    "DEGRADED": State(word="DEGRADED", tone="warn", glyph="!"),
    "INVALID": State(word="INVALID", tone="bad", glyph="✕"),
    "not_planned": State(word="not broken", tone="quiet", glyph="○"),
    "finding_new": State(word="new", tone="warn", glyph="!"),
    "finding_gone": State(word="gone", tone="good", glyph="✓"),
    "finding_both": State(word="in both", tone="quiet", glyph="="),
    "proven": State(word="proven", tone="good", glyph="✓"),
    "not_proven": State(word="not proven", tone="bad", glyph="✕"),
    "critical": State(word="critical", tone="bad", glyph="✕"),
    "major": State(word="major", tone="bad", glyph="!"),
    "minor": State(word="minor", tone="warn", glyph="!"),
    "info": State(word="info", tone="quiet", glyph="i"),
    "effect_worse": State(word="worse", tone="bad", glyph="✕"),
    "effect_better": State(word="better", tone="good", glyph="✓"),
    "effect_changed": State(word="changed", tone="warn", glyph="!"),
    "effect_none": State(word="no difference shown", tone="quiet", glyph="="),
    "effect_unknown": State(word="no interval", tone="quiet", glyph="○"),
    "cause_faults": State(word="the faults", tone="bad", glyph="✕"),
    "cause_spike": State(word="the spike already", tone="warn", glyph="!"),
    "cause_none": State(word="not missed", tone="good", glyph="✓"),
    "cause_control_only": State(word="only without faults", tone="quiet", glyph="○"),
    "cause_unknown": State(word="not told", tone="quiet", glyph="?"),
}


_OURS: Final = re.compile(r"(?<![\w#/.\-])(seat|hold)(s?)(?![\w\-])", re.IGNORECASE)
"""Our words for what people buy and keep, apart from names, links and files."""


def renamed(value: T, names: Mapping[str, str]) -> T:
    """Part of a page with a platform's own words for seats and holds in place of ours."""
    if not names:
        return value
    return cast("T", _renamed(value, names))


def _renamed(value: object, names: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _OURS.sub(lambda found: _in_their_words(found, names), value)
    if isinstance(value, tuple):
        return tuple(_renamed(one, names) for one in value)
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        changed = {name: _renamed(one, names) for name, one in fields.items() if name not in ("state", "name")}
        return msgspec.structs.replace(value, **changed)
    return value


def _in_their_words(found: re.Match[str], names: Mapping[str, str]) -> str:
    word, plural = found.group(1), found.group(2)
    theirs = names.get(word.lower(), word)
    return (sentence(theirs) if word[0].isupper() else theirs) + plural


def state(name: str) -> State:
    """How a state looks; one that is not known here is shown as it is called, as a doubt."""
    return _STATES.get(name) or State(word=name, tone="warn", glyph="?")


def invariant(name: str) -> str:
    """What an invariant promises, in words for everyone."""
    return INVARIANTS[name].title if name in INVARIANTS else sentence(name)


def check(name: str) -> str:
    """What an invariant's checker looks at; "" for one that the audit does not know."""
    return INVARIANTS[name].check if name in INVARIANTS else ""


def step(name: str) -> str:
    """What a step of the journey is called."""
    return _STEPS.get(name) or sentence(name)


def reason(error: str) -> str:
    """Why an operation did not end well."""
    return _REASONS.get(error) or error.replace("_", " ") or "failed"
