"""What a lost worker leaves missing, said exactly. Pure.

Its users are never started again: they would come to an on-sale that is long under way, under names that have been
there before. So what is missing stays missing, and a reader must know how much that is.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from harness.swarm.recording.progress_file import Begun


class Recorded(msgspec.Struct, frozen=True):
    """What the record has of a worker. `until_s`: the end of its last request; null: it has none."""

    requests: int
    operations: int
    until_s: float | None


class LastWord(msgspec.Struct, frozen=True):
    """What a worker had begun, as far as anybody knows. `at_s` null: when it died, exactly; else it may have done more
    after that instant."""

    begun: Begun
    at_s: float | None = None


class LostWorker(msgspec.Struct, frozen=True, kw_only=True):
    """One lost worker. Instants are relative to T0, null: there was none yet. `users`: kind → (first, how many)."""

    worker: int
    how: str
    at_s: float | None
    recorded: Recorded
    last_word: LastWord | None
    users: Mapping[str, tuple[int, int]]


def in_words(loss: LostWorker) -> str:
    """One line for the record."""
    when = "before T0" if loss.at_s is None else f"{loss.at_s:.1f} s after T0"
    gone = f"; its users are gone: {_users(loss.users)}" if loss.users else ""
    return f"{when} worker {loss.worker} {loss.how}; {_missing(loss.recorded, loss.last_word)}{gone}"


def _missing(recorded: Recorded, last_word: LastWord | None) -> str:
    has = "nothing of it" if recorded.until_s is None else f"what ended by {recorded.until_s:.1f} s"
    if last_word is None:
        return f"the record has {has}; how much it did after that is not known"
    begun = last_word.begun
    requests, operations = begun.requests - recorded.requests, begun.operations - recorded.operations
    if last_word.at_s is None:
        return (
            f"the record has {has}: {max(0, requests):,} of its {begun.requests:,} requests are missing, and "
            f"{max(0, operations):,} of its {begun.operations:,} operations"
        )
    return (
        f"the record has {has}: {max(0, requests):,} of the {begun.requests:,} requests and {max(0, operations):,} of "
        f"the {begun.operations:,} operations that it told of at {last_word.at_s:.1f} s are missing, and all that it "
        "did after that"
    )


def _users(users: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{kind} {_numbers(first, count)}" for kind, (first, count) in sorted(users.items()) if count)


def _numbers(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first} to {first + count - 1}"
