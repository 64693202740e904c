"""The draw: a pure function of seed and fan that anyone can recompute from what is published."""

from __future__ import annotations

import itertools
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from target.queue.draw import Draw, draw_of, entry_of, number_of

OPENS_US = 1_900_000_000_000_000
DRAW = draw_of("a secret", "e1", OPENS_US)


def recomputed(seed: str, commitment: str, fans: list[str]) -> list[str]:
    """The line, from nothing but what is published: the documented recomputation."""
    assert commitment == sha256(seed.encode()).hexdigest()
    entries = [sha256(fan.encode()).hexdigest() for fan in fans]
    numbers = {entry: int(sha256(f"{seed}:{entry}".encode()).hexdigest()[:13], 16) for entry in entries}
    return sorted(entries, key=numbers.__getitem__)


@given(fans=st.sets(st.text(min_size=1, max_size=20), min_size=1, max_size=50), seed=st.text(max_size=20))
def test_anyone_can_recompute_the_line(fans: set[str], seed: str) -> None:
    draw = Draw(seed, OPENS_US)
    line = [entry_of(fan) for fan in sorted(fans, key=draw.score)]
    assert line == recomputed(seed, draw.commitment, sorted(fans))


@given(fan=st.text(min_size=1), opens_us=st.integers(1, 4 * 10**15))
def test_a_score_is_exact_in_redis_and_lies_before_the_opening(fan: str, opens_us: int) -> None:
    draw = Draw(DRAW.seed, opens_us)
    score = draw.score(fan)
    assert score < opens_us
    assert int(float(score)) == score
    assert draw.number(float(score)) == number_of(draw.seed, entry_of(fan))


def test_every_event_opening_and_secret_has_a_seed_of_its_own() -> None:
    others = itertools.product(("a secret", "another"), ("e1", "e2"), (OPENS_US, OPENS_US + 1))
    assert len({draw_of(*one).seed for one in others}) == 8
    assert draw_of("a secret", "e1", OPENS_US) == DRAW


def test_when_somebody_joins_has_no_bearing_on_their_lot() -> None:
    """The first thousand names fall evenly into quarters of the draw: within six standard deviations."""
    line = sorted(range(1000), key=lambda n: DRAW.score(f"fan-{n}"))
    early_in_front = sum(1 for n in line[:500] if n < 500)
    assert 250 - 6 * 8 < early_in_front < 250 + 6 * 8
