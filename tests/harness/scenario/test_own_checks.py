"""A `platform:` section that cannot be right is one line with file, line and key, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from harness.errors import InputError
from harness.scenario import FOLDER, Override, OwnPlatform, ScenarioFile
from harness.scenario.own_options import own_overrides

EDGE = {"listen": "127.0.0.1:25433", "upstream": "127.0.0.1:25432"}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text("class Shop: ...\n")
    (tmp_path / "accounts.csv").write_text("login,code\n" + "".join(f"u{n},c{n}\n" for n in range(12)))
    return tmp_path


def written(room: Path, platform: object = None, **changes: object) -> Path:
    section = {"adapter": "shop.py:Shop", "url": "http://127.0.0.1:8000/onsale", **(platform or {})}  # type: ignore[dict-item]
    scenario = {"name": "mine", "description": "d", "duration_s": 30, "load": {"fans": 10, "spectators": 0}}
    path = room / "mine.yaml"
    path.write_text(yaml.safe_dump({**scenario, "platform": section, **changes}, sort_keys=False))
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        ScenarioFile(path)
    assert caught.value.file == str(path)
    assert caught.value.line is not None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_section_is_taken(room: Path) -> None:
    section: dict[str, Any] = {
        "settings": {"item": 1},
        "secrets": {"token": "MYSHOP_TOKEN"},
        "people": "accounts.csv",
        "secret_columns": ["code"],
        "headers": {"X-Load-Test": "env:WAF_BYPASS", "X-Plain": "yes"},
        "hosts": ["localhost"],
        "prepare": "./prepare.sh reset 50",
        "baseline": "read",
        "rules": {"stock": 50, "purchase_limit": 4},
        "names": {"seat": "ticket", "hold": "basket"},
        "metrics": {"web": {"url": "http://127.0.0.1:8000/metrics", "headers": {"Authorization": "env:METRICS"}}},
        "indicators": {"queue_depth_max": {"metric": "shop_waiting", "source": "web"}},
        "edges": {"db": {**EDGE, "probe": "postgres"}},
        "parts": {"web": {"container": "shop-web-1"}, "worker": {"pid_file": "worker.pid", "start": "./go"}},
    }
    loaded = ScenarioFile(written(room, section))
    assert loaded.scenario.platform is not None
    assert loaded.scenario.platform.edges["db"].listen == "127.0.0.1:25433"
    assert loaded.folder == room


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"adapter": ""}, "platform.adapter: there is no adapter"),
        ({"adapter": "shop.py"}, "is not FILE:CLASS"),
        ({"adapter": "nowhere.py:Shop"}, "there is no file nowhere.py"),
        ({"adapter": "accounts.csv:Shop"}, "is no Python file"),
        ({"url": ""}, "platform.url: there is no address"),
        ({"url": "127.0.0.1:8000"}, "is no http:// or https:// address"),
        ({"url": "ftp://127.0.0.1/"}, "is no http:// or https:// address"),
        ({"url": "http://127.0.0.1:99999/"}, "is no address"),
        ({"url": "http://127.0.0.1/?event=1"}, "has a query"),
        ({"url": "http://127.0.0.1/on\x01sale"}, "platform.url: holds control characters"),
        ({"url": "http://127.0.0.1\x01/onsale"}, "platform.url: holds control characters"),
        ({"url": "http://127.0.0.1/on sale"}, "platform.url: has a space in it"),
        ({"url": "http://tickets_*.example/"}, "platform.url: has no name of a host that can be looked up"),
        ({"url": "http://kärnten.example/"}, "platform.url: has no name of a host that can be looked up"),
        ({"urll": "x"}, "platform.urll: unknown key (did you mean 'url'?)"),
        ({"hosts": ["https://queue.example"]}, "platform.hosts[0]: is no name of a host"),
        ({"hosts": ["queue example"]}, "platform.hosts[0]: is no name of a host"),
        ({"hosts": ["queue.example:443"]}, "platform.hosts[0]: is no name of a host"),
        ({"hosts": [" "]}, "platform.hosts[0]: is no name of a host"),
        ({"headers": {"Host": "shop"}}, "platform.headers.Host: says how a request is sent"),
        ({"headers": {"content-length": "5"}}, "platform.headers.content-length: says how a request is sent"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "platform.headers.Transfer-Encoding: says how"),
        ({"headers": {"X-Load": "für 5 €"}}, "platform.headers.X-Load: holds characters that no header can have"),
        ({"headers": {"X-Load": "a\x01b"}}, "platform.headers.X-Load: holds control characters"),
        ({"metrics": {"web": {"url": "http://127.0.0.1/m", "headers": {"Host": "x"}}}}, "web.headers.Host: says how"),
        ({"headers": {"X Load": "1"}}, "platform.headers.X Load: is no name of a header"),
        ({"headers": {"X-Load": "a\r\nb"}}, "holds control characters"),
        ({"headers": {"X-Load": "env:no-name"}}, "names no environment variable"),
        ({"names": {"seet": "ticket"}}, "platform.names.seet: is none of our words (did you mean 'seat'?)"),
        ({"names": {"seat": " "}}, "expected a word"),
        ({"metrics": {"web": {"url": "web:8000"}}}, "platform.metrics.web.url: is no http://"),
        ({"indicators": {"queue_dept_max": {"metric": "m"}}}, "unknown indicator (did you mean 'queue_depth_max'?)"),
        ({"indicators": {"error_ratio": {"metric": "m"}}}, "is measured by the fans, not from a metric"),
        ({"indicators": {"queue_depth_max": {"metric": "m"}}}, "there is no page of metrics to take it from"),
        (
            {
                "metrics": {"web": {"url": "http://127.0.0.1/metrics"}},
                "indicators": {"queue_depth_max": {"metric": "m", "source": "wep"}},
            },
            "platform.indicators.queue_depth_max.source: there is no page of metrics 'wep' (did you mean 'web'?)",
        ),
        ({"edges": {"db": {**EDGE, "upstream": "25432"}}}, "platform.edges.db.upstream"),
        ({"edges": {"db": {**EDGE, "listen": "127.0.0.1:0"}}}, "has no port from 1 to 65535"),
        ({"edges": {"db": {**EDGE, "listen": "127.0.0.1:70000"}}}, "has no port from 1 to 65535"),
        ({"edges": {"db": {**EDGE, "upstream": EDGE["listen"]}}}, "listens at its own upstream"),
        ({"edges": {"db": EDGE, "cache": EDGE}}, "is the address of edge db already"),
        ({"edges": {"db": {**EDGE, "upstream": "localhost:25433"}}}, "db.listen: listens at its own upstream"),
        ({"edges": {"db": {**EDGE, "listen": "LOCALHOST:25432"}}}, "db.listen: listens at its own upstream"),
        ({"edges": {"db": {**EDGE, "listen": "[::1]:25432"}}}, "db.listen: listens at its own upstream"),
        ({"edges": {"db": {**EDGE, "listen": "0.0.0.0:25432"}}}, "db.listen: listens at its own upstream"),
        ({"edges": {"db": EDGE, "c": {**EDGE, "listen": "localhost:25433"}}}, "is the address of edge db already"),
        ({"edges": {"db": {**EDGE, "listen": "no-such-host.example:1"}}}, "is no address that can be listened at"),
        ({"edges": {"db": {**EDGE, "listen": "127.0.0.1.5:1"}}}, "is no address that can be listened at"),
        ({"traces": {"listen": "4318"}}, "platform.traces.listen"),
        ({"traces": {"listen": "127.0.0.1:0"}}, "platform.traces.listen: 127.0.0.1:0 has no port from 1 to 65535"),
        ({"traces": {"listen": "shop.example:4318"}}, "traces.listen: shop.example:4318 is no address that can be"),
        ({"traces": {"listen": EDGE["listen"]}, "edges": {"db": EDGE}}, "is the address of platform.traces already"),
        ({"parts": {"web": {}}}, "platform.parts.web: expected either container or pid_file"),
        ({"parts": {"web": {"container": "c", "pid_file": "p"}}}, "expected either container or pid_file"),
        ({"parts": {"web": {"container": "c", "start": "s"}}}, "a container needs no start"),
        ({"ca_file": "ca.pem"}, "platform.ca_file: there is no file ca.pem"),
        ({"people": "nobody.csv"}, "nobody.csv: cannot be read: No such file or directory"),
        ({"secret_columns": ["code"]}, "there is no column 'code' without people"),
        ({"people": "accounts.csv", "secret_columns": ["kode"]}, "has no column 'kode' (did you mean 'code'?)"),
    ],
    ids=str,
)
def test_what_cannot_be_right_is_one_line(room: Path, section: dict[str, object], said: str) -> None:
    assert said in refused(written(room, section))


def test_an_edge_may_listen_at_the_port_of_its_upstream_at_another_address_of_this_machine(room: Path) -> None:
    ScenarioFile(written(room, {"edges": {"db": {"listen": "127.0.0.2:5432", "upstream": "127.0.0.1:5432"}}}))


@pytest.mark.parametrize("content", ["", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_without_certificates_is_refused(room: Path, content: str) -> None:
    (room / "ca.pem").write_text(content)
    assert "platform.ca_file: ca.pem cannot be used as certificates" in refused(written(room, {"ca_file": "ca.pem"}))


@pytest.mark.parametrize("kind", ["bots", "lurkers"])
def test_bots_and_lurkers_have_accounts_too(room: Path, kind: str) -> None:
    load = {"fans": 10, "spectators": 0, kind: 1}
    (room / "accounts.csv").write_text("login\n" + "".join(f"u{number}\n" for number in range(12)))
    assert "has 12 rows for 11 fans, bots and lurkers" in refused(written(room, {"people": "accounts.csv"}, load=load))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "its first row must name the columns"),
        ("login,\na,b\n", "its first row must name the columns"),
        ("login,login\na,b\n", "its first row must name the columns"),
        ("login,code\n" + "a,b\n" * 13, "rows 1 and 2 are the same"),
        ("login,code\na\n", "row 1 has 1 values for 2 columns"),
        (
            "login\n" + "".join(f"u{n}\n" for n in range(11)),
            "has 11 rows for 10 fans, bots and lurkers, and 2 of the trial",
        ),
        ("login\n\xff\xfe", "is no CSV file"),
    ],
)
def test_people_who_do_not_suffice_are_refused(room: Path, content: str, said: str) -> None:
    (room / "accounts.csv").write_bytes(content.encode("latin-1"))
    assert said in refused(written(room, {"people": "accounts.csv"}))


@pytest.mark.parametrize(
    "section",
    [
        {"secrets": {"token": "sk-live-123/456"}},
        {"headers": {"Authorization": "Bearer sk-live-123/456"}},
        {"url": "http://shop:sk-live-123@127.0.0.1/"},
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(room: Path, section: dict[str, object]) -> None:
    assert "sk-live" not in refused(written(room, section))


@pytest.mark.parametrize(
    ("key", "hint"), [("purchase_limit", "say it in platform.rules.purchase_limit"), ("venue", "leave it out")]
)
def test_rules_of_the_reference_system_are_refused(room: Path, key: str, hint: str) -> None:
    said = refused(written(room, on_sale={key: 4 if key == "purchase_limit" else "arena"}))
    assert f"on_sale.{key}: " in said
    assert hint in said


def test_the_patience_of_devices_of_the_reference_system_is_refused(room: Path) -> None:
    said = refused(written(room, load={"answer_timeout_s": 60}))
    assert "load.answer_timeout_s: " in said
    assert "say it in platform.limits.first_byte_s" in said


def test_a_fault_on_an_unknown_edge_or_part_is_refused(room: Path) -> None:
    section = {"edges": {"payments": EDGE}, "parts": {"web": {"container": "c"}}}
    fault = {"experiment": "latency", "start_s": 5}
    assert "faults[0].edge: the platform has no edge 'payment' (did you mean 'payments'?)" in refused(
        written(room, section, faults=[{**fault, "edge": "payment"}])
    )
    assert "faults[0].part: the platform has no part 'db'" in refused(
        written(room, section, faults=[{**fault, "part": "db"}])
    )


def test_a_party_may_be_as_large_as_the_platforms_own_limit(room: Path) -> None:
    load = {"fans": 10, "spectators": 0, "journey": {"party_sizes": {6: 1}}}
    assert "a party of 6 is outside 1 to purchase_limit (4)" in refused(
        written(room, {"rules": {"purchase_limit": 4}}, load=load)
    )
    ScenarioFile(written(room, {"rules": {"purchase_limit": 6}}, load=load))


def loaded(path: Path, platform: str, stack: str) -> ScenarioFile:
    return ScenarioFile(path, own_overrides(str(path), platform, stack))


def test_an_address_of_the_command_line_keeps_the_path(room: Path) -> None:
    own = loaded(written(room), "", "https://127.0.0.1:9443").scenario.platform
    assert own is not None
    assert own.url == "https://127.0.0.1:9443/onsale"
    own = loaded(written(room), "", "https://127.0.0.1:9443/shop/").scenario.platform
    assert own is not None
    assert own.url == "https://127.0.0.1:9443/shop/"


def test_an_adapter_of_the_command_line_is_relative_to_the_working_directory(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = room / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.py").write_text("class Other: ...\n")
    monkeypatch.chdir(elsewhere)
    own = loaded(written(room), "other.py:Other", "").scenario.platform
    assert own is not None
    assert own.adapter == f"{elsewhere}/other.py:Other"


def test_a_shipped_scenario_takes_a_platform_and_loses_the_rules_of_ours(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(room)
    found = ScenarioFile(
        FOLDER / "smoke.yaml",
        [*own_overrides("smoke", "shop.py:Shop", "http://127.0.0.1:8000"), Override("faults", [], "--no-chaos")],
    )
    assert found.scenario.platform is not None
    assert found.scenario.on_sale.event == "playoff-g1"
    assert found.folder == room


@pytest.mark.parametrize("stack", ["http://me:pw@127.0.0.1/", "http://127.0.0.1:0/", "ftp://127.0.0.1/"])
def test_an_address_that_is_none_names_the_option_and_no_password(room: Path, stack: str) -> None:
    with pytest.raises(InputError, match=r"^--stack: ") as caught:
        own_overrides(str(written(room)), "", stack)
    assert "pw" not in str(caught.value)


def test_nobody_follows_a_feed_unless_the_file_says_so(room: Path) -> None:
    assert ScenarioFile(written(room, load={"fans": 3})).scenario.load.spectators == 0
    assert ScenarioFile(written(room, load={"fans": 3, "spectators": 4})).scenario.load.spectators == 4


def test_a_time_that_no_clock_can_keep_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="1000000"):
        msgspec.convert({"limits": {"first_byte_s": 1e300}}, OwnPlatform)
