"""Times of verbs against a browser's own clock: the little shop's basket, by the kit and by a real Chromium.

`python -m tests.bench.verbs [--samples N]`. One sample is one customer who takes a ticket: the front page, the form,
the redirect to the basket. The kit says how long the verb took: the operation in the record, from when it was meant to
its last byte. Chromium makes the same requests by `fetch` in a page of the shop, and says how long they took in two
ways: `chromium_requests` is the sum over the requests from when one is sent to its last byte, as its network stack
notes them (W3C Resource Timing); `chromium_script` is what a script sees by `performance.now()`, the ways between the
browser's processes included. All in turn, on the same shop; nothing is pinned to a core, since a browser is several
processes. `stopwatch` is the kit's verb by a clock around the call: what the record would leave out.

Both go through a relay that notes when the same three requests and answers are on the wire: `kit_wire` and
`chromium_wire`. What is left of each clock beyond the wire is the client's own work, so the difference between the
clocks shows where it comes from.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from time import monotonic

import numpy as np
import numpy.typing as npt
from selenium import webdriver

from harness.platform import Call, Person
from harness.scenario import OwnPlatform
from harness.stack import Addresses
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.loader import load_class
from tests.bench import rounds
from tests.bench.wire import relayed
from tests.target.little_shop.shops import TOKEN, shop

SAMPLES = 200
LEFT_OUT = 10
"""The first samples of each: connections, caches and interpreters warm up."""
REQUESTS = 3
"""Of a verb: the front page, the form, the page that it leads to."""
Floats = npt.NDArray[np.float64]
TAKE = """
const [form, done] = arguments;
performance.clearResourceTimings();
const began = performance.now();
(async () => {
  await (await fetch('/')).text();
  const page = await (await fetch('/basket', {method: 'POST', body: new URLSearchParams(form)})).text();
  const script = performance.now() - began;
  const requests = performance.getEntriesByType('resource')
    .map((one) => one.responseEnd - (one.redirectStart || one.requestStart));
  await (await fetch('/basket/empty', {method: 'POST', body: new URLSearchParams(form)})).text();
  const taken = page.includes('id="basket"') && requests.length === 2;
  done(taken ? [requests[0] + requests[1], script] : null);
})();
"""


class KitFan:
    """A customer of the adapter."""

    def __init__(self, url: str) -> None:
        own = OwnPlatform(url=url, secrets={"token": "LITTLE_SHOP_TOKEN"})
        self._recorder = Recorder(1)
        platform = load_class("scenarios/little_shop/kinds.py:DirectShop")(
            Addresses(booking=url, feeds=(), event="", own=own), self._recorder
        )
        self._session = platform.fan_session(Person(user=0, kind="fan", actor="fan-000000", identity="fan"))
        self._session.queue_page(Call(t_intended_s=monotonic()))

    def takes_ms(self) -> tuple[float, float]:
        """By the record, and by a clock around the verb."""
        began_s = monotonic()
        held = self._session.hold_stock(Call(t_intended_s=began_s), "standing", 1)
        stopwatch_ms = (monotonic() - began_s) * 1000
        (row,) = self._recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
        self._session.release(Call(t_intended_s=monotonic()), held.value)
        self._recorder.take(ReleaseInstant(0.0, 0.0))
        return (row["t_complete_s"] - row["t_intended_s"]) * 1000, stopwatch_ms

    def close(self) -> None:
        """Ends the connections."""
        self._session.close()


class BrowserFan:
    """A customer with Chromium."""

    def __init__(self, url: str) -> None:
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        self._driver = webdriver.Chrome(options=options)
        self._driver.get(f"{url}/")
        token = self._driver.get_cookie("shop_token") or {}
        self._form = {"token": token["value"], "pool": "standing", "quantity": "1"}

    def takes_ms(self) -> tuple[float, float]:
        """By the browser's own clock: its requests, and the script that makes them."""
        taken_ms = self._driver.execute_async_script(TAKE, self._form)
        assert taken_ms is not None
        requests_ms, script_ms = taken_ms
        return requests_ms, script_ms

    def close(self) -> None:
        """Ends the browser."""
        self._driver.quit()


def sample(kit: KitFan, browser: BrowserFan) -> tuple[tuple[float, ...], list[tuple[float, float]]]:
    """One customer of each: what their clocks say, and when each was at work."""
    clocks: list[float] = []
    windows = []
    for takes in (kit.takes_ms, browser.takes_ms):
        began_s = monotonic()
        clocks += takes()
        windows.append((began_s, monotonic()))
    return tuple(clocks), windows


def on_the_wire_ms(spans_s: Sequence[tuple[float, float]], began_s: float, ended_s: float) -> float:
    """The first requests of that time, which are the verb's: those that give the basket back come after them."""
    verb = [(begun, ended) for begun, ended in spans_s if began_s <= begun <= ended_s][:REQUESTS]
    assert len(verb) == REQUESTS
    return sum(ended - begun for begun, ended in verb) * 1000


def figures(samples_ms: Sequence[float] | Floats) -> dict[str, float]:
    """Median and tail."""
    return {f"p{share}_ms": round(float(np.percentile(samples_ms, share)), 2) for share in (50, 90, 99)}


ROWS = {
    "record": "the verb in gatecrash's record",
    "kit_wire": "– its three requests on the wire",
    "record_beyond_wire": "– what the record adds to that",
    "chromium_requests": "the same requests in Chromium, by its network stack",
    "chromium_wire": "– its three requests on the wire",
    "chromium_beyond_wire": "– what Chromium adds to that",
    "chromium_script": "the same by a script in Chromium",
}


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """The rows of docs/benchmarks.md."""
    head = ["| By which clock | p50 | p90 | p99 |", "|---|---|---|---|"]
    return [
        *head,
        *(f"| {words} | {' | '.join(f'{ms:.1f} ms' for ms in found[name].values())} |" for name, words in ROWS.items()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=1, help="ignored: the samples alternate")
    samples = parser.parse_args().samples
    os.environ["LITTLE_SHOP_TOKEN"] = TOKEN
    with shop("--limit", "1000") as little_shop, relayed(int(little_shop.url.rpartition(":")[2])) as wire:
        url = f"http://127.0.0.1:{wire.port}"
        kit, browser = KitFan(url), BrowserFan(url)
        measured = [sample(kit, browser) for _ in range(samples + LEFT_OUT)][LEFT_OUT:]
        kit.close()
        browser.close()
        spans_s = wire.spans_s()
    measured = [(*clocks, *(on_the_wire_ms(spans_s, *window) for window in windows)) for clocks, windows in measured]
    names = ("record", "stopwatch", "chromium_requests", "chromium_script", "kit_wire", "chromium_wire")
    found = {name: figures(column) for name, column in zip(names, zip(*measured, strict=True), strict=True)}
    columns = dict(zip(names, (np.array(column) for column in zip(*measured, strict=True)), strict=True))
    found["record_beyond_wire"] = figures(columns["record"] - columns["kit_wire"])
    found["chromium_beyond_wire"] = figures(columns["chromium_requests"] - columns["chromium_wire"])
    apart = {
        f"record_minus_{name}": {share: round(found["record"][share] - found[name][share], 2) for share in found[name]}
        for name in names[2:4]
    }
    path = rounds.write("verbs", {"samples": samples, **found, **apart})
    rounds.publish("verbs", table(found))
    print(path.read_text())


if __name__ == "__main__":
    main()
