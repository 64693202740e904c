"""What a scenario may ask of a platform that declares its capabilities."""

from __future__ import annotations

from msgspec.structs import replace

from harness.scenario import IndicatorSource, Journey, Journeys, Load, Objective, OwnPlatform, Rules, Scenario
from harness.scenario.fit import fitted, problems

STOCK = ("stock", "order_export")
NOBODY_LOOKS_ON = Load(spectators=0)


def asking(*objectives: str, invariants: tuple[str, ...] = (), platform: OwnPlatform | None = None) -> Scenario:
    wanted = {name: Objective(target=1.0, worst=2.0) for name in objectives}
    own = platform or OwnPlatform(adapter="a.py:A", url="http://127.0.0.1:1")
    return Scenario(
        name="own",
        description="",
        duration_s=9.0,
        platform=own,
        objectives=wanted,
        invariants=invariants,
        load=NOBODY_LOOKS_ON,
    )


def test_an_objective_on_what_is_not_there_is_named_with_its_key_and_what_to_do() -> None:
    (found,) = problems(asking("join_response_p95_ms"), STOCK)
    assert found.key == ("objectives", "join_response_p95_ms")
    assert "does not declare queue (fans wait in a queue before they may buy)" in found.message
    assert found.hint


def test_an_objective_on_a_metric_needs_to_be_fed() -> None:
    (found,) = problems(asking("queue_depth_max"), (*STOCK, "queue"))
    assert "platform.indicators.queue_depth_max" in found.hint
    fed = OwnPlatform(
        adapter="a.py:A", url="http://h", indicators={"queue_depth_max": IndicatorSource(metric="waiting")}
    )
    assert list(problems(asking("queue_depth_max", platform=fed), (*STOCK, "queue"))) == []


def test_an_invariant_on_named_seats_cannot_be_required_where_there_are_none() -> None:
    (found,) = problems(asking(invariants=("no_oversell", "no_double_sell")), STOCK)
    assert found.key == ("invariants", 1)


def test_a_platform_sells_something_and_rules_are_about_that() -> None:
    assert [one.key for one in problems(asking(), ("queue",))] == [("platform", "adapter")]
    ruled = OwnPlatform(adapter="a.py:A", url="http://h", rules=Rules(stock=5))
    assert [one.key for one in problems(asking(platform=ruled), ("seats",))] == [("platform", "rules", "stock")]


def test_who_would_find_nothing_to_do_stays_away() -> None:
    crowd = Scenario(name="own", description="", duration_s=9.0, load=Load())
    load = fitted(crowd, STOCK).load
    assert (load.spectators, load.probes, load.fans) == (0, 0, Load().fans)
    assert fitted(crowd, ("seats", "feed", "probes")).load == Load()


def test_bots_and_probes_of_the_users_own_need_nothing_that_the_shipped_ones_do() -> None:
    load = Load(spectators=0, bots=3, probes=2)
    shipped = replace(asking(), load=load)
    assert [one.key for one in problems(shipped, STOCK)] == [("load", "bots")]
    assert fitted(shipped, STOCK).load.probes == 0
    own = replace(shipped, journeys=Journeys(bot="mine.py:Greedy", probe="mine.py:Counting"))
    assert list(problems(own, STOCK)) == []
    assert fitted(own, STOCK).load.probes == 2


def test_accessible_seats_are_asked_for_only_where_there_are_some() -> None:
    scenario = asking()
    some = replace(scenario, load=replace(NOBODY_LOOKS_ON, journey=Journey(accessible_ratio=0.1)))
    (found,) = problems(some, ("seats",))
    assert (found.key, "ACCESSIBLE" in found.hint) == (("load", "journey", "accessible_ratio"), True)
    assert list(problems(some, ("seats", "accessible"))) == []
