"""A shop whose pages for operators and for metrics drip, flood, lie about their length or hang up in the midst: the
rehearsal ends in time, without a verdict, and with one line for each of them.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.e2e import rehearsals
from tests.hostile_server import BEHAVIOURS, Behaviour, behaving
from tests.target.little_shop.shops import TOKEN, running

pytestmark = pytest.mark.e2e

ADAPTER = """\
import sys

from scenarios.little_shop.kinds import DirectShop


class Turning(DirectShop):
    def read(self, api, name):
        page = super().read(api, name)
        sold = super().read(api, "orders.csv").text.count("\\n")
        is_trial = "adapter" in sys.argv[0]
        turned = sold > self.settings["turns_at"] and not is_trial
        return api.get(self.settings[name]) if turned else page
"""
METRICS = {
    "headers drop by drop": "answered no whole page within 2 s",
    "a gigabyte with a length": "answered more than 2,097,152 bytes",
    "less than it said": "answered less than it said",
    "half-closes in the head": "answered a head that was cut short",
}
PAGES = {
    "orders.csv": "a body drop by drop",
    "stock": "a gigabyte to the end",
    "payments.csv": "less than it said",
}
FANS = 12
PLAIN = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def good_once(behaviour: Behaviour) -> Behaviour:
    """The first request, which is the look before the load, gets a page of metrics."""
    asked = count()
    return lambda victim: behaviour(victim) if next(asked) else victim.body(b"shop_up 1\n", PLAIN)


def rehearse(folder: Path, turns_at: int) -> rehearsals.Rehearsed:
    """`turns_at`: lines of the export, above which all of the operator's pages turn hostile."""
    (folder / "turning.py").write_text(ADAPTER)
    with ExitStack() as kept:
        url = kept.enter_context(running("target.little_shop", "--stock", "60", "--basket-ttl", "4"))
        hostile = {name: kept.enter_context(behaving(good_once(BEHAVIOURS[name]))).url for name in METRICS}
        pages = {name: kept.enter_context(behaving(BEHAVIOURS[name])).url for name in PAGES.values()}
        env = kept.enter_context(pytest.MonkeyPatch.context())
        env.setenv("LITTLE_SHOP_TOKEN", TOKEN)
        platform = {
            "adapter": "turning.py:Turning",
            "url": url,
            "secrets": {"token": "LITTLE_SHOP_TOKEN"},
            "settings": {"turns_at": turns_at, **{page: pages[name] for page, name in PAGES.items()}},
            "metrics": {name.replace(" ", "-"): {"url": f"{hostile[name]}/metrics"} for name in METRICS},
            "baseline": "read",
            "limits": {"first_byte_s": 1, "whole_s": 2},
            "rules": {"stock": {"standing": 60}, "purchase_limit": 4, "hold_ttl_s": 4, "at_rest_within_s": 8},
        }
        scenario = {
            "name": "hostile",
            "description": "A shop whose operator's pages turn.",
            "duration_s": 6,
            "settle_timeout_s": 8,
            "load": {"fans": FANS, "spectators": 0, "probes": 0, "workers": 1, "journey": {"think_s": 0.1}},
            "platform": platform,
        }
        (folder / "hostile.yaml").write_text(json.dumps(scenario, indent=1))  # JSON is YAML
        return rehearsals.rehearse(folder, str(folder / "hostile.yaml"))


def test_a_run_ends_in_time_with_one_line_for_each_page(tmp_path: Path) -> None:
    done, run, temporary = rehearse(tmp_path, turns_at=4)
    assert (done.returncode, rehearsals.verdict(run).verdict) == (3, "NO VERDICT"), done.stderr
    assert "Traceback" not in done.stderr
    assert not any(one.status == "violated" for one in rehearsals.verdict(run).invariants)
    said = [one.text for one in rehearsals.document(run).anomalies]
    metrics = [f"the metrics of {name.replace(' ', '-')} {words}" for name, words in METRICS.items()]
    for line in (*metrics, "stock could not be read: ", "orders could not be read: ", "ledger could not be read: "):
        assert sum(line in text for text in said) == 1, (line, said)
    assert not list(temporary.iterdir())


def test_a_baseline_that_cannot_be_read_is_one_line_before_anybody_is_released(tmp_path: Path) -> None:
    done, run, _ = rehearse(tmp_path, turns_at=0)
    assert done.returncode == 2
    assert rehearsals.document(run).t0 is None
    said = f"gatecrash: {tmp_path}/hostile.yaml:41: platform.baseline: the orders of before the release"
    assert done.stderr.splitlines()[-1].startswith(said)
