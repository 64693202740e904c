"""Which classes a swarm runs: the shipped ones, those of the user's own, and what cannot be a journey."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.scenario import Journeys, Load, Scenario
from harness.stack import Addresses
from harness.swarm.messaging.protocol import SwarmSpec

with pytest.MonkeyPatch.context() as patched:
    patched.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # the tests share their process with much that may not be patched
    from harness.swarm.users.classes import user_classes

OWN = """
from gatecrash.journeys import BotUser, FanUser, LurkerUser, SpectatorUser

class Hurried(FanUser): pass
class Greedy(BotUser): pass
class Curious(LurkerUser): pass
class Watching(SpectatorUser): pass
class Plain: pass
"""


def spec(folder: Path, **own: str) -> SwarmSpec:
    (folder / "mine.py").write_text(OWN)
    (folder / "others.py").write_text(OWN)
    load = Load(fans=4, bots=3, lurkers=2, spectators=1)
    scenario = Scenario(name="own", description="Own journeys.", duration_s=10, load=load)
    return SwarmSpec(
        run_dir=str(folder),
        addresses=Addresses(booking="http://127.0.0.1:1", feeds=(), event=""),
        scenario=scenario,
        seed=1,
        platform="",
        journeys=Journeys(**own).beside(folder),
    )


def test_each_kind_may_have_a_class_of_the_users_own(tmp_path: Path) -> None:
    own = {
        "fan": "mine.py:Hurried",
        "bot": "mine.py:Greedy",
        "lurker": "others.py:Curious",
        "spectator": "mine.py:Watching",
    }
    found = {one.__name__: one.fixed_count for one in user_classes(spec(tmp_path, **own))}
    assert found == {"Hurried": 4, "Greedy": 3, "Curious": 2, "Watching": 1}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"fan": "mine.py:Plain"}, "mine.py:Plain is no journey"),
        (
            {"bot": "mine.py:Hurried"},
            "is the journey of a fan, not of a bot (derive it from gatecrash.journeys.BotUser",
        ),
        ({"fan": "mine.py:None"}, "has no class None"),
    ],
)
def test_what_cannot_be_a_journey_is_one_line(tmp_path: Path, own: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        user_classes(spec(tmp_path, **own))
    assert said in str(refused.value)


def test_two_classes_of_one_name_are_one_line(tmp_path: Path) -> None:
    spec(tmp_path)
    (tmp_path / "twice.py").write_text("from gatecrash.journeys import BotUser\n\nclass Curious(BotUser): pass\n")
    with pytest.raises(InputError, match="is the second journey of that name"):
        user_classes(spec(tmp_path, bot="twice.py:Curious", lurker="mine.py:Curious"))
