"""Experiment files: those that come with gatecrash, and what is said about those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.specification import experiment
from chaos.specification.fault import AddToxic, Disable, Drop, place_of
from harness.errors import InputError

GOOD = """\
name: mine
hypothesis: It holds.
component: redis
kind: refuse
length_s: 4
faults:
  - {action: disable, proxy: redis}
canaries:
  - {probe: redis, proxy: redis, effective: refused}
expectations:
  - {name: opens, check: metric, metric: m, value: 2, within_s: 2, of: effective}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


SHIPPED = [
    "booking-node-loss",
    "db-unreachable",
    "feed-node-loss",
    "payment-errors",
    "payment-latency-8s",
    "payment-latency-8s-upstream",
    "redis-and-payments",
    "redis-down",
    "redis-hang",
    "redis-kill",
    "redis-partition",
    "replica-stale",
    "replication-cut",
    "slow-network",
    "websocket-drops",
    "websocket-drops-10",
    "websocket-drops-all",
    "zone-loss",
]


def test_those_that_come_with_gatecrash() -> None:
    assert experiment.names() == SHIPPED


def test_what_needs_a_container_is_not_for_a_stack_without() -> None:
    everywhere = {one.name for one in experiment.shipped(containers=False)}
    assert everywhere == set(SHIPPED) - {"redis-partition"}
    assert [one.name for one in experiment.shipped(containers=True)] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_says_what_it_breaks_proves_and_expects(name: str) -> None:
    loaded = experiment.load(name)
    assert loaded.name == name
    assert loaded.expectations
    assert loaded.hypothesis
    assert {canary.proves for canary in loaded.canaries} >= {place_of(fault) for fault in loaded.faults}
    assert loaded.length_s >= loaded.shortest_s


def test_what_they_break() -> None:
    assert experiment.load("redis-down").faults == (Disable(proxy="redis"),)
    assert experiment.load("db-unreachable").proxies == {"postgres_primary", "replication"}
    (slow,) = experiment.load("payment-latency-8s").faults
    assert isinstance(slow, AddToxic)
    assert (slow.type, slow.stream, slow.attributes) == ("latency", "downstream", {"latency": 8000})
    drops = experiment.load("websocket-drops").faults
    assert [isinstance(drop, Drop) and (drop.proxy, drop.percent, drop.at_ratio) for drop in drops] == [
        ("feed_1", 50, (0, 0.5)),
        ("feed_2", 50, (0, 0.5)),
    ]


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    assert experiment.load(written(tmp_path, GOOD)).name == "mine"
    assert experiment.load(str(written(tmp_path, GOOD))).length_s == 4


def test_a_name_that_is_not_there_gets_a_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        experiment.load("redis-dwon")
    assert caught.value.file is None
    assert caught.value.hint == "did you mean 'redis-down'?"
    with pytest.raises(InputError, match="known: booking-node-loss"):
        experiment.load("zzz")


@pytest.mark.parametrize(
    ("old", "new", "line", "key"),
    [
        ("length_s: 4", "length_s: 0", 5, "length_s"),
        ("length_s: 4", "length: 4", 5, "length"),
        ("length_s: 4", "length_s: long", 5, "length_s"),
        ("name: mine", "name: My Own", 1, "name"),
        ("  - {action: disable, proxy: redis}", "  []", 6, "faults"),
        ("{action: disable, proxy: redis}", "{action: disable, proxy: other}", 7, "faults[0].proxy"),
        ("{action: disable, proxy: redis}", "{action: explode, proxy: redis}", 7, "faults[0].action"),
        ("{action: disable, proxy: redis}", "{action: toxic, proxy: redis, type: lag}", 7, "faults[0].type"),
        ("{action: disable, proxy: redis}", "{action: toxic, proxy: redis, type: latency, attributes: {lag: 1}}", 7,
         "faults[0].attributes.lag"),
        ("{action: disable, proxy: redis}", "{action: toxic, proxy: redis, type: latency, attributes: {latency: -1}}",
         7, "faults[0].attributes.latency"),
        ("{action: disable, proxy: redis}", "{action: toxic, proxy: redis, type: latency, attributes: {latency: 8.5}}",
         7, "faults[0].attributes.latency"),
        ("{action: disable, proxy: redis}", "{action: toxic, proxy: redis, type: noop, toxicity: 2}", 7,
         "faults[0].toxicity"),
        ("{action: disable, proxy: redis}", "{action: drop, proxy: redis, percent: 150}", 7, "faults[0].percent"),
        ("{action: disable, proxy: redis}", "{action: drop, proxy: redis, percent: 5, at_ratio: [1]}", 7,
         "faults[0].at_ratio"),
        ("effective: refused", "effective: slow", 9, "canaries[0].slow_ms_min"),
        ("effective: refused", "effective: slow, slow_ms_min: 9000", 5, "length_s"),
        ("effective: refused", "effective: dropped", 9, "canaries[0].effective"),
        ("{action: disable, proxy: redis}", "{action: kill, process: valkey}", 7, "faults[0].process"),
        ("{action: disable, proxy: redis}", "{action: kill, proxy: redis}", 7, "faults[0].proxy"),
        ("effective: refused", "effective: hung, process: valkey", 9, "canaries[0]"),
        ("effective: refused", "effective: refused, watches: valkey", 7, "faults[0].proxy"),
        ("probe: redis, proxy: redis, effective: refused", "probe: replica, proxy: redis, effective: refused", 9,
         "canaries[0].probe"),
        ("expectations:\n", "guards: [{name: g, metric: m, compare: equals, value: 1, for_s: -1}]\nexpectations:\n", 10,
         "guards[0].for_s"),
        ("probe: redis,", "probe: radis,", 9, "canaries[0].probe"),
        ("check: metric,", "check: metrik,", 11, "expectations[0].check"),
        ("within_s: 2", "within_s: 0", 11, "expectations[0].within_s"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: response_time, step: dance, quantile: 0.99, at_most_ms: 5", 11, "expectations[0].step"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: response_time, step: pay, quantile: 99, at_most_ms: 5", 11, "expectations[0].quantile"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: recovers, step: pay, within_s: 2, slower_at_most: 0.5", 11, "expectations[0].slower_at_most"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective", "check: requests, step: pay", 11,
         "expectations[0].name"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: events, stream: feed, event: goal", 11, "expectations[0].event"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: events, stream: feed, event: score, at_least: 0", 11, "expectations[0].at_least"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: response_time, step: pay, quantile: 0.9, at_most_ms: 0", 11, "expectations[0].at_most_ms"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: requests, step: pay, outcome: [ok], error: [reset], at_least: 1", 11, "expectations[0].error"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: requests, step: pay, outcome: [ok], at_least: 0.9, at_most: 0.1", 11, "expectations[0].at_least"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: requests, step: pay, outcome: [ok], at_least: 0.9, samples_min: 0", 11, "expectations[0].samples_min"),
        ("within_s: 2", "within_s: 0.4", 11, "expectations[0].within_s"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: reconnects, stream: feed, within_s: 0", 11, "expectations[0].within_s"),
        ("check: metric, metric: m, value: 2, within_s: 2, of: effective",
         "check: no_gap, grace_s: -1", 11, "expectations[0].grace_s"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path: Path, old: str, new: str, line: int, key: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        experiment.load(written(tmp_path, GOOD.replace(old, new)))
    assert (caught.value.line, caught.value.key) == (line, key), caught.value
    assert "\n" not in str(caught.value)


NAMED_TWICE = """\
  - {name: opens, check: requests, step: pay, outcome: [ok], at_least: 0.5}
"""
CONTRADICTION = """\
  - {name: many, check: requests, step: pay, outcome: [ok], at_least: 0.9}
  - {name: others, check: requests, step: hold, outcome: [ok], at_most: 0.1}
  - {name: few, check: requests, step: pay, outcome: [ok], at_most: 0.1}
"""
MORE_THAN_ALL = """\
  - {name: most go well, check: requests, step: pay, outcome: [ok], at_least: 0.6}
  - {name: most are refused, check: requests, step: pay, outcome: [fail, unknown], at_least: 0.6}
"""


@pytest.mark.parametrize(
    ("more", "line", "message"),
    [
        (NAMED_TWICE, 12, "a second expectation is called 'opens'"),
        (CONTRADICTION, 14, "cannot be met when 'many' is"),
        (MORE_THAN_ALL, 13, "cannot be met when 'most go well' is"),
    ],
)
def test_expectations_that_cannot_stand_together_are_refused(
    tmp_path: Path, more: str, line: int, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        experiment.load(written(tmp_path, GOOD + more))
    assert caught.value.line == line
    assert (caught.value.key or "").endswith(".name")
    assert caught.value.hint


def test_what_a_fault_makes_undecidable_is_an_invariant_with_a_reason(tmp_path: Path) -> None:
    loaded = experiment.load(written(tmp_path, GOOD + "makes_undecidable: {queue_order: all places are lost}\n"))
    assert loaded.makes_undecidable == {"queue_order": "all places are lost"}


@pytest.mark.parametrize(
    ("text", "key", "message", "hint"),
    [
        ("{queue_ordr: why}", "makes_undecidable.queue_ordr", "no invariant is called", "did you mean 'queue_order'?"),
        ("{zzz: why}", "makes_undecidable.zzz", "no invariant is called", "no_double_sell"),
        ("{queue_order: ' '}", "makes_undecidable.queue_order", "expected the reason", "say what the fault takes away"),
        ("{queue_order: 3}", "makes_undecidable.queue_order", "expected text", ""),
        ("[queue_order]", "makes_undecidable", "expected a mapping of keys", ""),
    ],
)
def test_what_cannot_be_made_undecidable_is_refused(
    tmp_path: Path, text: str, key: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        experiment.load(written(tmp_path, GOOD + f"makes_undecidable: {text}\n"))
    assert (caught.value.line, caught.value.key) == (12, key)
    assert hint in caught.value.hint


def test_the_faults_that_new_holds_are_refused_under() -> None:
    assert {name for name in SHIPPED if experiment.load(name).refuses_holds} == {"redis-down"}


def test_the_example_of_the_documentation_is_an_experiment(tmp_path: Path) -> None:
    document = (Path(__file__).parents[3] / "docs" / "chaos.md").read_text(encoding="utf-8")
    loaded = experiment.load(written(tmp_path, document.split("```yaml\n")[1].split("```")[0]))
    assert loaded.steady_state
    assert loaded.guards
    assert loaded.makes_undecidable
