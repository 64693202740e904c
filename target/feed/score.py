"""The match goes on: somebody scores now and then, told over pub/sub at most once."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from target.runtime.breakers import UnavailableError
from target.seats.seat_log import Score, text
from target.storage.keys import Keys
from target.storage.redis import RedisStore

SCORE_PERIOD_S: Final = 2.0


async def score_ticker(redis: RedisStore, event: str, *, period_s: float = SCORE_PERIOD_S) -> None:
    """Endless. What is published while Redis is away is lost; the next score says all of it anyway."""
    channel = Keys(event).score
    home, away = 0, 0
    while True:
        await asyncio.sleep(period_s)
        points = random.choice((0, 2, 3))
        home, away = (home + points, away) if random.random() < 0.5 else (home, away + points)
        try:
            await redis.command("PUBLISH", channel, text(Score(time.time(), home, away)))
        except UnavailableError:
            continue
