"""What is said of a lost worker: every case in full, because a reader has nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.swarm.control.lost_workers import LastWord, LostWorker, Recorded, in_words
from harness.swarm.recording.progress_file import Begun

RECORDED = Recorded(1_201, 379, 2.96)
USERS = {"fan": (500, 500), "spectator": (20, 1), "bot": (0, 0)}


def loss(
    how: str,
    last_word: LastWord | None,
    recorded: Recorded = RECORDED,
    users: Mapping[str, tuple[int, int]] = USERS,
    at_s: float | None = 3.21,
) -> LostWorker:
    return LostWorker(worker=2, how=how, at_s=at_s, recorded=recorded, last_word=last_word, users=users)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (
            loss("died (exit code -9)", LastWord(Begun(1_204, 380))),
            "3.2 s after T0 worker 2 died (exit code -9); the record has what ended by 3.0 s: 3 of its 1,204 requests "
            "are missing, and 1 of its 380 operations; its users are gone: "
            "fan 500 to 999, spectator 20",
        ),
        (
            loss(
                "was lost: nothing was heard from 10.0.0.2 for 10 s", LastWord(Begun(1_203, 379), at_s=3.0), at_s=13.04
            ),
            "13.0 s after T0 worker 2 was lost: nothing was heard from 10.0.0.2 for 10 s; the record has what ended by "
            "3.0 s: 2 of the 1,203 requests and 0 of the 379 operations that it told of at 3.0 s are missing, and all "
            "that it did after that; its users are gone: fan 500 to 999, spectator 20",
        ),
        (
            loss("died (exit code 1; 0 rows were taken from its disk)", None, Recorded(0, 0, None), {}, None),
            "before T0 worker 2 died (exit code 1; 0 rows were taken from its disk); the record has nothing of it; how "
            "much it did after that is not known",
        ),
        (
            loss("died", LastWord(Begun(1_000, 0)), RECORDED, {}, None),
            "before T0 worker 2 died; the record has what ended by 3.0 s: 0 of its 1,000 requests are missing, and "
            "0 of its 0 operations",
        ),
    ],
)
def test_a_loss_is_told_exactly(lost: LostWorker, words: str) -> None:
    assert in_words(lost) == words
