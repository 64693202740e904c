import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq
import pytest

from harness.errors import NoVerdict
from harness.record.collecting.scrape import Scraper, rows_of
from harness.record.paths import RunPaths
from harness.record.schema import MACHINE_BUSY, SCRAPE_LATE
from tests.hostile_server import BEHAVIOURS, behaving
from tests.waiting import wait_until

PAGE = """# TYPE python_info gauge
python_info{version="3"} 1.0
# TYPE target_breaker_state gauge
target_breaker_state{dependency="redis"} 2.0
# TYPE target_holds counter
target_holds_total{outcome="ok"} 7.0
target_holds_created{outcome="ok"} 1.7e9
"""


def test_a_page_becomes_rows_without_the_language_runtimes_own() -> None:
    rows = list(rows_of(PAGE, "booking", 1.5))
    assert rows == [
        {"t_s": 1.5, "source": "booking", "name": "target_breaker_state", "labels": "dependency=redis", "value": 2.0},
        {"t_s": 1.5, "source": "booking", "name": "target_holds_total", "labels": "outcome=ok", "value": 7.0},
    ]


def test_a_page_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(rows_of("<html>{{{", "booking", 0.0))


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


def test_it_scrapes_on_the_release_clock_and_names_a_silent_source(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/metrics"
    paths = RunPaths(root=tmp_path)
    scraper = Scraper({"booking": url, "worker": "http://127.0.0.1:1/metrics"}, paths)
    try:
        with scraper:
            begun_s = time.monotonic()
            scraper.start(begun_s + 1.0)
            wait_until(lambda: paths.live_table("metrics").stat().st_size > 2_000, what="a few scrapes")
            seen_s = time.monotonic()
    finally:
        server.shutdown()
        server.server_close()
    rows = pq.read_table(paths.table("metrics")).to_pylist()
    assert {row["source"] for row in rows} == {"booking", "gatecrash"}
    late_s = [row["value"] for row in rows if row["name"] == SCRAPE_LATE]
    assert len(late_s) == len({row["t_s"] for row in rows if row["source"] == "gatecrash"})
    assert min(late_s) >= 0.0
    busy_s = [row["value"] for row in rows if row["name"] == MACHINE_BUSY]
    assert len(busy_s) == len(late_s)
    assert busy_s[-1] > busy_s[0] > 0.0
    assert -1.0 <= rows[0]["t_s"] <= seen_s - begun_s - 1.0
    assert [anomaly.text for anomaly in scraper.anomalies()] == ["the metrics of worker never answered"]


def scrape_until_it_dies(paths: RunPaths, then: Exception | None = None) -> None:
    scraper = Scraper({"booking": "http://127.0.0.1:1/metrics"}, paths)
    with scraper:
        scraper.start("no instant")  # type: ignore[arg-type]
        wait_until(lambda: scraper.failure != "", what="the death")
        if then is not None:
            raise then


def test_a_scraper_whose_thread_dies_ends_the_run_without_a_verdict(tmp_path: Path) -> None:
    with pytest.raises(NoVerdict, match="the thread that scrapes the metrics died: TypeError: "):
        scrape_until_it_dies(RunPaths(root=tmp_path))


def test_a_scraper_that_died_does_not_hide_what_ended_the_run_before(tmp_path: Path) -> None:
    with pytest.raises(NoVerdict, match="the swarm died"):
        scrape_until_it_dies(RunPaths(root=tmp_path), NoVerdict("the swarm died"))


class GuardedPage(Page):
    def do_GET(self) -> None:
        if self.headers["Authorization"] == "Bearer let me in":
            super().do_GET()
        else:
            self.send_error(401)


def test_a_page_gets_its_own_headers(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), GuardedPage)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/metrics"
    paths = RunPaths(root=tmp_path)
    headers = {"guarded": {"Authorization": "Bearer let me in"}, "locked": {"Authorization": "Bearer wrong"}}
    scraper = Scraper({"guarded": url, "locked": url, "bare": url}, paths, headers)
    try:
        with scraper:
            scraper.start(time.monotonic())
            wait_until(lambda: paths.live_table("metrics").stat().st_size > 2_000, what="a few scrapes")
    finally:
        server.shutdown()
        server.server_close()
    assert [anomaly.source for anomaly in scraper.anomalies()] == ["bare", "locked"]


class Latin(Page):
    """Names outside of ASCII, and no charset said. `times`: how often it was read."""

    times = 0

    def do_GET(self) -> None:
        Latin.times += 1
        body = '# TYPE holds gauge\nholds{fan="Zoë"} 1.0\n'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HOSTILE = {
    "headers drop by drop": "answered no whole page within 2 s",
    "a body drop by drop": "answered no whole page within 2 s",
    "a gigabyte with a length": "answered more than 2,097,152 bytes",
    "less than it said": "answered less than it said",
    "half-closes in the head": "answered a head that was cut short",
    "a gzip bomb": "answered in an encoding that was not asked for",
    "a redirect to another host": "answered 302 and redirects are not followed",
    "HTML": "answered HTML, no page of metrics",
    "says nothing": "never answered",
}


def test_sources_that_hang_flood_and_lie_are_a_line_each_and_delay_no_other(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Latin)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    paths = RunPaths(root=tmp_path)
    with ExitStack() as kept:
        kept.callback(server.server_close)
        kept.callback(server.shutdown)
        hostile = {name: kept.enter_context(behaving(BEHAVIOURS[name])) for name in HOSTILE}
        urls = {name: one.url for name, one in hostile.items()}
        scraper = Scraper({**urls, "good": f"http://127.0.0.1:{server.server_port}/metrics"}, paths)
        with scraper:
            scraper.start(time.monotonic())
            wait_until(lambda: Latin.times > 12, within_s=120, what="many scrapes")
            of_one_that_hangs = hostile["says nothing"].requests
    said = {anomaly.source: anomaly.text for anomaly in scraper.anomalies()}
    assert said.keys() == HOSTILE.keys()
    assert all(said[name].startswith(f"the metrics of {name} {words}") for name, words in HOSTILE.items()), said
    rows = pq.read_table(paths.table("metrics")).to_pylist()
    assert {row["labels"] for row in rows if row["source"] == "good"} == {"fan=Zoë"}
    assert Latin.times > of_one_that_hangs
