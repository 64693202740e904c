"""Times of verbs against a browser's own clock: the little shop's basket, by the kit and by a real Chromium.

`python -m tests.bench.verbs [--samples N]`. One sample is one customer who takes a ticket: the front page, the form,
the redirect to the basket. The kit says how long the verb took: the operation in the record, from when it was meant to
its last byte. Chromium makes the same requests by `fetch` in a page of the shop, and says how long they took in two
ways: `chromium_requests` is the sum over the requests from when one is sent to its last byte, as its network stack
notes them (W3C Resource Timing); `chromium_script` is what a script sees by `performance.now()`, the ways between the
browser's processes included. All in turn, on the same shop, which has a core of its own where there are two.
`stopwatch` is the kit's verb by a clock around the call: what the record would leave out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from time import monotonic

import numpy as np
from selenium import webdriver

from harness.platform import Call, Person
from harness.scenario import OwnPlatform
from harness.stack import Addresses
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.loader import load_class
from tests.bench import rounds
from tests.target.little_shop.shops import TOKEN, shop

SAMPLES = 200
LEFT_OUT = 10
"""The first samples of each: connections, caches and interpreters warm up."""
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


def figures(samples_ms: Sequence[float]) -> dict[str, float]:
    """Median and tail."""
    return {f"p{share}_ms": round(float(np.percentile(samples_ms, share)), 2) for share in (50, 90, 99)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=1, help="ignored: the samples alternate")
    samples = parser.parse_args().samples
    os.environ["LITTLE_SHOP_TOKEN"] = TOKEN
    with rounds.on_core(0):
        running = shop("--limit", "1000")
        little_shop = running.__enter__()
    try:
        rounds.pin(1)
        kit, browser = KitFan(little_shop.url), BrowserFan(little_shop.url)
        measured = [(*kit.takes_ms(), *browser.takes_ms()) for _ in range(samples + LEFT_OUT)][LEFT_OUT:]
        browser.close()
    finally:
        running.__exit__(None, None, None)
    names = ("record", "stopwatch", "chromium_requests", "chromium_script")
    found = {name: figures(column) for name, column in zip(names, zip(*measured, strict=True), strict=True)}
    apart = {
        f"record_minus_{name}": {share: round(found["record"][share] - found[name][share], 2) for share in found[name]}
        for name in names[2:]
    }
    path = rounds.write("verbs", {"samples": samples, **found, **apart})
    print(path.read_text())


if __name__ == "__main__":
    main()
