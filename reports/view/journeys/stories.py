"""Stories of single fans, ready to print."""

from __future__ import annotations

from harness.record.schema import Struct
from harness.record.verdict import Story
from reports import text


class StoryView(Struct, frozen=True):
    """One fan's story. `lines`: when, how long, what, how it ended, faults in force."""

    actor: str
    why: str
    sum_up: str
    lines: tuple[tuple[str, str, str, str, str], ...]


def stories(found: tuple[Story, ...]) -> tuple[StoryView, ...]:
    """In the order of the verdict."""
    return tuple(
        StoryView(
            actor=story.actor,
            why=story.why,
            sum_up=text.capitalised(story.sum_up),
            lines=tuple(
                (
                    text.exactly_at(line.t_s),
                    "" if line.took_s is None else text.seconds(line.took_s),
                    text.capitalised(line.what),
                    line.ended,
                    ", ".join(line.faults),
                )
                for line in story.lines
            ),
        )
        for story in found
    )
