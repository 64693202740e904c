"""A platform of one's own on the command line: what is wrong is one line and exit code 2, before any load."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
import yaml

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
SECRET = "sk-live-0815-4711"
ADAPTER = """\
import gatecrash.adapter as kit


class Visitor(kit.Shopper):
    def left(self):
        return [kit.Pool(name="floor", free=50)]

    def reserve(self, pool, quantity):
        raise kit.Refused(f"no baskets for {self.settings['who']}", final=True)

    def buy(self, basket, key, *, declined):
        raise kit.Refused("conflict", final=True)


class Shop(kit.ShopPlatform):
    capabilities = frozenset({kit.Capability.STOCK})
    shopper = Visitor


class Export(Shop):
    capabilities = frozenset({kit.Capability.STOCK, kit.Capability.ORDER_EXPORT})


class Clairvoyant(Shop):
    capabilities = frozenset({"stock", "clairvoyance"})


class Empty(kit.ShopPlatform):
    capabilities = frozenset({kit.Capability.STOCK})


class Foreign:
    def __init__(self, addresses, recorder): ...
"""


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def shop() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    server.seen = []  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def seen(server: ThreadingHTTPServer) -> list[str]:
    found: list[str] = server.seen  # type: ignore[attr-defined]
    return found


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(ADAPTER)
    return tmp_path


def written(room: Path, url: str = "http://127.0.0.1:9/", platform: object = None, **changes: object) -> Path:
    section = {"adapter": "shop.py:Shop", "url": url, "settings": {"who": "us"}, **(platform or {})}  # type: ignore[dict-item]
    scenario = {"name": "mine", "description": "d", "duration_s": 5, "load": {"fans": 2, "spectators": 0, "probes": 0}}
    path = room / "mine.yaml"
    path.write_text(yaml.safe_dump({**scenario, "platform": section, **changes}, sort_keys=False))
    return path


def gatecrash(room: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "MYSHOP_TOKEN"}
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        cwd=room, capture_output=True, text=True, timeout=240, check=False,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def url_of(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/onsale"


FAULTY = {
    "edges": {"db": {"listen": "127.0.0.1:25433", "upstream": "127.0.0.1:25432"}},
}
CUT = [{"experiment": "cut", "edge": "db", "start_s": 1, "length_s": 1}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--plant-bug", "lost_ack"], "--plant-bug: bugs are planted in the reference system only"),
        (["--paired"], "--paired: the second half would find what the first has sold (give platform.prepare)"),
        (["--stack", "compose"], "--stack: 'compose' raises the reference system"),
        (["--random-faults", "1"], "--random-faults: the faults that are drawn break"),
        (["--stack", "http://me:pw@127.0.0.1/"], "--stack: has a user or a password in it"),
        (["--platform", "nowhere.py:Shop"], "nowhere.py"),
        (["--stack", "http://shop.example"], "'shop.example' is not on this machine and not allowed"),
        (["--set", "platform.secrets.token=MYSHOP_TOKEN"], "the environment variable MYSHOP_TOKEN is not set"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_start_nothing(
    room: Path, shop: ThreadingHTTPServer, options: list[str], said: str
) -> None:
    scenario = written(room, url_of(shop), FAULTY, faults=CUT, duration_s=60)
    done = gatecrash(room, "rehearse", scenario, *options, "--out", room / "runs")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (room / "runs").exists()
    assert seen(shop) == []


@pytest.mark.parametrize(
    ("platform", "changes", "said"),
    [
        ({"adapter": "shop.py:Nobody"}, {}, "shop.py has no class Nobody"),
        ({"adapter": "shop.py:Clairvoyant"}, {}, "clairvoyance"),
        ({"adapter": "shop.py:Empty"}, {}, "STOCK is declared"),
        ({"adapter": "shop.py:Export"}, {}, "ORDER_EXPORT is declared, and Export has no orders"),
        ({"adapter": "shop.py:Foreign"}, {}, "Foreign has no fan_session"),
        (
            {},
            {"objectives": {"queue_admission_rate_per_s": {"target": 30, "worst": 5}}},
            "mine.yaml:14: objectives.queue_admission_rate_per_s: cannot be measured: the platform does not",
        ),
        (
            {},
            {"load": {"fans": 2, "spectators": 5}},
            "load.spectators: spectators follow a feed, and the platform has none",
        ),
        ({"baseline": "read"}, {}, "platform.baseline: the adapter does not declare the capability order_export"),
    ],
    ids=str,
)
def test_a_check_loads_the_adapter_in_a_process_of_its_own(
    room: Path, platform: dict[str, object], changes: dict[str, object], said: str
) -> None:
    done = gatecrash(room, "scenario", "check", written(room, platform=platform, **changes))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_like_this\n", "shop.py"),
        ("def broken(:\n", "shop.py"),
        ("raise RuntimeError('no licence')\n", "no licence"),
        ("import os\nos._exit(3)\n", "shop.py: the process that loads it exited with code 3 in `describe` and said"),
        ("import os\nos._exit(0)\n", "and said nothing (does it call os._exit()?)"),
        ("import sys\n\nsys.exit(0)\n", "cannot be loaded: SystemExit: 0 (shop.py:3)"),
        ("exit()\n", "cannot be loaded: SystemExit: None (shop.py:1)"),
        (
            ADAPTER.replace("frozenset({kit.Capability.STOCK})", "[[1]]"),
            "shop.py:15: Shop declares the unknown capability [1]",
        ),
        (ADAPTER + "\n\nimport threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n", ""),
        ("print('hello')\n" + ADAPTER, ""),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_one_line(room: Path, code: str, said: str) -> None:
    (room / "shop.py").write_text(code)
    done = gatecrash(room, "scenario", "check", written(room))
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == (1 if said else 0)
    assert done.returncode == (2 if said else 0)


def test_an_adapters_process_does_not_outlive_us(room: Path) -> None:
    (room / "shop.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(__file__).with_name('pid').write_text(str(os.getpid()))\nwhile True: time.sleep(60)\n"
    )
    check = subprocess.Popen(
        [sys.executable, "-m", "harness", "scenario", "check", str(written(room))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        wait_until(lambda: (room / "pid").exists() and (room / "pid").read_text() != "")
        adapter = int((room / "pid").read_text())
        assert psutil.pid_exists(adapter)
    finally:
        check.kill()
        check.wait()
    wait_until(lambda: not psutil.pid_exists(adapter) or psutil.Process(adapter).status() == psutil.STATUS_ZOMBIE)


LOCUSTFILES = {
    "raises": ("raise RuntimeError('no licence')\n", "cannot be loaded: RuntimeError: no licence (theirs.py:1)"),
    "exits": ("import sys\nsys.exit(1)\n", "cannot be loaded: SystemExit: 1 (theirs.py:2)"),
    "no user": ("x = 1\n", "theirs.py: has no user class with tasks"),
    "not there": ("import no_such_module\n", "cannot be loaded: No module named 'no_such_module'"),
}


@pytest.mark.parametrize("command", ["check", "rehearse"])
@pytest.mark.parametrize("name", LOCUSTFILES)
def test_a_locustfile_that_cannot_be_used_is_one_line_before_anything_is_prepared(
    room: Path, shop: ThreadingHTTPServer, name: str, command: str
) -> None:
    code, said = LOCUSTFILES[name]
    (room / "theirs.py").write_text(code)
    scenario = written(room, url_of(shop), {"prepare": "touch prepared"}, journeys={"locustfile": "theirs.py"})
    words = ["scenario", "check"] if command == "check" else ["rehearse", "--out", str(room / "runs")]
    done = gatecrash(room, *words, scenario)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (room / "prepared").exists()
    assert not (room / "runs").exists()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Mine: ...\n", "mine.py:Mine is no journey"),
        ("1 / 0\n", "cannot be loaded: ZeroDivisionError: division by zero (mine.py:1)"),
        ("from gatecrash.journeys import FanUser\n\n\nclass Mine(FanUser): ...\n", ""),
    ],
)
def test_a_journey_of_the_users_own_is_loaded_by_a_check(room: Path, code: str, said: str) -> None:
    (room / "mine.py").write_text(code)
    done = gatecrash(room, "scenario", "check", written(room, journeys={"fan": "mine.py:Mine"}))
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == (1 if said else 0)
    assert done.returncode == (2 if said else 0)


def test_a_header_whose_variable_holds_what_no_header_can_is_said_before_anything(room: Path) -> None:
    scenario = written(room, platform={"headers": {"X-Load": "env:MYSHOP_TOKEN"}})
    done = gatecrash(room, "rehearse", scenario, "--out", room / "runs", MYSHOP_TOKEN=f"{SECRET} €")
    assert done.returncode == 2
    said = "platform.headers.X-Load: the value of the environment variable MYSHOP_TOKEN holds characters that no header"
    assert said in done.stderr
    assert SECRET not in done.stderr


def test_a_check_sends_nothing_and_takes_the_options(room: Path, shop: ThreadingHTTPServer) -> None:
    other = room / "other"
    other.mkdir()
    (other / "mine.py").write_text(ADAPTER)
    options = ["--platform", "other/mine.py:Shop", "--stack", url_of(shop)]
    done = gatecrash(room, "scenario", "check", written(room, platform={"adapter": "gone.py:Shop"}), *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mine: ok")
    assert seen(shop) == []


def only_run(room: Path) -> Path:
    (run,) = (room / "runs").iterdir()
    return run


def test_a_preparation_that_fails_is_one_line_and_keeps_its_log(room: Path, shop: ThreadingHTTPServer) -> None:
    (room / "prepare.sh").write_text('echo "token $MYSHOP_TOKEN"; echo "no event $1 for $MYSHOP_TOKEN" >&2; exit 4\n')
    platform = {"prepare": "sh ./prepare.sh 7", "secrets": {"token": "MYSHOP_TOKEN"}}
    scenario = written(room, url_of(shop), platform)
    done = gatecrash(room, "rehearse", scenario, "--out", room / "runs", MYSHOP_TOKEN=SECRET)
    assert done.returncode == 2
    assert "platform.prepare: it exited with code 4: no event 7 for ***" in done.stderr.splitlines()[-1]
    assert (only_run(room) / "logs" / "prepare.log").read_text() == "token ***\nno event 7 for ***\n"
    assert seen(shop) == []
    holds_no_secret(room, done)


def test_a_trial_purchase_that_fails_names_the_adapters_line(room: Path, shop: ThreadingHTTPServer) -> None:
    scenario = written(room, url_of(shop), {"prepare": "echo settings.who=nobody"})
    done = gatecrash(room, "rehearse", scenario, "--out", room / "runs")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gatecrash: shop.py:9: ")
    assert "no baskets for nobody" in last
    assert seen(shop)[0] == "/onsale"
    assert not list(only_run(room).glob("*.parquet"))


def test_a_rule_that_the_trial_finds_wrong_is_said_where_the_scenario_has_it(
    room: Path, shop: ThreadingHTTPServer
) -> None:
    scenario = written(room, url_of(shop), {"rules": {"stock": {"flor": 50, "floor": 50}}})
    line = next(at for at, text in enumerate(scenario.read_text().splitlines(), 1) if text.strip() == "stock:")
    done = gatecrash(room, "rehearse", scenario, "--out", room / "runs")
    assert done.returncode == 2
    said = f"{scenario}:{line}: platform.rules.stock: there is no pool 'flor': did you mean 'floor'?"
    assert done.stderr.splitlines()[-1].startswith(f"gatecrash: {said}")


def test_an_adapter_that_ends_its_process_in_a_verb_is_one_line(room: Path, shop: ThreadingHTTPServer) -> None:
    for ending, said in (
        ("exit(0)", "shop.py:9: reserve of check-"),
        ("import os; os._exit(0)", "shop.py: the process that loads it exited with code 0 in `trial` and said nothing"),
    ):
        raised = "raise kit.Refused(f\"no baskets for {self.settings['who']}\", final=True)"
        (room / "shop.py").write_text(ADAPTER.replace(raised, ending))
        done = gatecrash(room, "rehearse", written(room, url_of(shop)), "--out", room / "runs")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith(f"gatecrash: {said}")


def test_a_secret_that_an_adapter_throws_is_nowhere(room: Path, shop: ThreadingHTTPServer) -> None:
    (room / "shop.py").write_text(
        ADAPTER.replace("raise kit.Refused(f\"no baskets for {self.settings['who']}\", final=True)",
                        "raise ValueError(f'bad token {self.secrets[\"token\"]}')")
    )  # fmt: skip
    scenario = written(room, url_of(shop), {"secrets": {"token": "MYSHOP_TOKEN"}})
    done = gatecrash(room, "rehearse", scenario, "--out", room / "runs", MYSHOP_TOKEN=SECRET)
    assert done.returncode == 2
    assert "bad token" in done.stderr
    holds_no_secret(room, done)


def holds_no_secret(room: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert SECRET not in done.stderr + done.stdout
    for path in only_run(room).rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_nobody_at_the_address_is_one_line(room: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = gatecrash(room, "rehearse", written(room, f"http://127.0.0.1:{port}/"), "--out", room / "runs")
    assert done.returncode == 2
    assert "cannot be reached: Connection refused" in done.stderr.splitlines()[-1]
