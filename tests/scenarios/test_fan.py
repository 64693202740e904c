"""A fan who posts a payment twice: at one instant over two connections, and again afterwards, under one key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.swarm.scripted_server import Asked, serving
from tests.scenarios.reference.test_platform import Said, document
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("repeats", [True, False])
def test_a_payment_that_is_posted_twice_at_one_instant(repeats: bool) -> None:
    posted: list[Asked] = []

    def script(asked: Asked) -> Said:
        if asked.method == "POST":
            posted.append(asked)
            if repeats:
                wait_until(lambda: len(posted) >= 2, what="the other post of the same payment")
        return document(201 if asked.method == "POST" else 200, order_id="o1", state="confirmed")

    with serving(script) as server:
        command = [sys.executable, "-m", "tests.scenarios.paying_fan", server.url, "1" if repeats else "0"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True)
    pays = json.loads(done.stdout)
    assert len(pays) == len(posted) == (3 if repeats else 1)
    assert {row["outcome"] for row in pays} == {"ok"}
    assert len({row["key"] for row in pays} | {asked.header("Idempotency-Key") for asked in posted}) == 1
    if repeats:
        *at_once, later = sorted(pays, key=lambda row: row["t_invoke_s"])
        first_end_s, second_end_s = (row["t_complete_s"] for row in at_once)
        assert max(row["t_invoke_s"] for row in at_once) < min(first_end_s, second_end_s)
        assert later["t_invoke_s"] >= max(first_end_s, second_end_s)
        assert posted[0].connection != posted[1].connection
