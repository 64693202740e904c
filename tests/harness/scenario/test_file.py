from pathlib import Path

import pytest
import yaml

from harness import scenario as scenarios
from harness.errors import ExitCode, InputError
from harness.scenario import Override, ScenarioFile, Tactic

GOOD = {"name": "mine", "description": "d", "duration_s": 30, "load": {"fans": 10}}


def written(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}, sort_keys=False))
    return path


def refused(path: Path, *options: str) -> str:
    with pytest.raises(InputError) as caught:
        ScenarioFile(path, [Override.parse(option) for option in options])
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", scenarios.names())
def test_shipped_scenarios_load(name: str) -> None:
    loaded = scenarios.load(name).scenario
    assert loaded.name == name
    assert loaded.objectives


def test_the_default_is_shipped() -> None:
    assert scenarios.DEFAULT in scenarios.names()


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'smoke'"):
        scenarios.load("smok")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: no such file"):
        scenarios.load("nowhere.yaml")


def test_an_unknown_key_has_file_line_key_and_mend(tmp_path: Path) -> None:
    message = refused(written(tmp_path, load={"fanz": 3}))
    assert message == f"{tmp_path}/mine.yaml:5: load.fanz: unknown key (did you mean 'fans'?)"


def test_a_wrong_type_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "mine.yaml:5: load.fans: expected a whole number, got text" in refused(
        written(tmp_path, load={"fans": "ten"})
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"load": {"fans": -1}}, "load.fans: expected a whole number >= 0"),
        ({"load": {"fans": 0, "spectators": 0}}, "nobody comes"),
        ({"duration_s": 0}, "duration_s: expected a number > 0"),
        (
            {"faults": [{"experiment": "redis-down", "start_s": 40}]},
            "faults[0].start_s: the fault ends at 40 s, after the run",
        ),
        ({"faults": [{"experiment": "redis-down", "start_s": 20, "length_s": 20}]}, "the fault ends at 40 s"),
        ({"objectives": {"hold_responze_p99_ms": {"target": 1, "worst": 2}}}, "did you mean 'hold_response_p99_ms'"),
        ({"objectives": {"hold_response_p99_ms": {"target": 2, "worst": 1}}}, "target must be below worst"),
        ({"objectives": {"checkout_completion_ratio": {"target": 0.1, "worst": 0.9}}}, "target must be above worst"),
        ({"invariants": ["no_double_sel"]}, "did you mean 'no_double_sell'"),
        ({"load": {"journey": {"party_sizes": {9: 1.0}}}}, "a party of 9 is outside 1 to purchase_limit (4)"),
        ({"load": {"journey": {"party_sizes": {2: 0.0}}}}, "at least one party size"),
        ({"load": {"journey": {"abandon_hold_ratio": 1.5}}}, "expected a number <= 1"),
        ({"generator": {"cpu_percent": [99, 50]}}, "expected [degraded, invalid]"),
        ({"minimum_grade": "E"}, "minimum_grade: cannot be 'E'"),
        ({"load": {"bots": 3, "tactics": {"over_limit": 0}}}, "at least one tactic"),
        ({"load": {"bots": 3, "tactics": {"bribe": 1}}}, "load.tactics"),
        ({"on_sale": {"purchase_limit": 0}, "load": {"journey": {"party_sizes": {17: 1}}}}, "outside 1 to 16"),
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    assert said in refused(written(tmp_path, **changes))


def test_without_a_purchase_limit_parties_may_be_larger(tmp_path: Path) -> None:
    file = written(tmp_path, on_sale={"purchase_limit": 0}, load={"journey": {"party_sizes": {9: 1}}})
    assert ScenarioFile(file).scenario.on_sale.purchase_limit == 0


def test_bots_are_counted_and_named(tmp_path: Path) -> None:
    load = ScenarioFile(written(tmp_path, load={"fans": 1200, "bots": 30, "tactics": {"over_limit": 2}})).scenario.load
    assert (load.users, load.who) == (1330, "1,200 fans, 30 bots, 100 spectators")
    assert load.tactics == {Tactic.OVER_LIMIT: 2}


def test_an_option_replaces_a_value_of_the_file(tmp_path: Path) -> None:
    source = ScenarioFile(written(tmp_path), [Override.parse("load.fans=77"), Override.parse("on_sale.hold_ttl_s=2.5")])
    assert source.scenario.load.fans == 77
    assert source.scenario.on_sale.hold_ttl_s == 2.5


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("load.fans=-3", "--set load.fans=-3: expected a whole number >= 0"),
        ("load.fanz=3", "--set load.fanz=3: unknown key (did you mean 'fans'?)"),
        ("load.fans", "--set 'load.fans' is not key=value"),
        ("faults.3.start_s=2", "there is no item '3'"),
        ("name.x=2", "there is nothing below name"),
        ("load.fans=[1", "is not a value"),
    ],
)
def test_a_bad_option_is_blamed_itself_not_the_file(tmp_path: Path, option: str, said: str) -> None:
    message = refused(written(tmp_path, faults=[]), option)
    assert said in message
    assert "mine.yaml" not in message


@pytest.mark.parametrize(
    ("arrivals", "named"),
    [
        (
            {"shape": "waves", "waves_s": [0, 30]},
            "load.arrivals.waves_s[1]: a wave at 30 s is after the run ends at 30 s",
        ),
        ({"shape": "waves", "waves_s": []}, "waves_s"),
        ({"shape": "ramp", "ramp_s": 31}, "load.arrivals.ramp_s: the ramp ends after the run ends at 30 s"),
        ({"shape": "spiral"}, "load.arrivals.shape"),
        ({"hum_ratio": 1.5}, "load.arrivals.hum_ratio"),
    ],
    ids=str,
)
def test_a_shape_that_cannot_be_is_refused(tmp_path: Path, arrivals: dict[str, object], named: str) -> None:
    assert named in refused(written(tmp_path, load={"fans": 10, "arrivals": arrivals}))


def test_lurkers_are_counted_among_who_comes(tmp_path: Path) -> None:
    load = ScenarioFile(written(tmp_path, load={"fans": 10, "lurkers": 1500, "spectators": 0})).scenario.load
    assert load.users == 1510
    assert load.who == "10 fans, 1,500 lurkers, 0 spectators"


@pytest.mark.parametrize(
    ("on_sale", "complaint"),
    [
        ({"queue_policy": "shuffle"}, "a shuffle without a pre-queue shuffles nobody"),
        ({"queue_policy": "lottery"}, "on_sale.queue_policy"),
        ({"pre_queue_s": 30}, "the sale opens at 30 s, after the run ends at 30 s"),
        ({"pre_queue_s": 20, "opens_after_s": 20}, "when nothing is up yet"),
    ],
)
def test_a_pre_queue_that_cannot_be_is_refused(tmp_path: Path, on_sale: dict[str, object], complaint: str) -> None:
    assert complaint in refused(written(tmp_path, on_sale=on_sale))
