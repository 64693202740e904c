"""What a master gets of a worker's machine: what its operator named, whatever the master asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from harness.errors import InputError
from harness.scenario import Journeys, OwnPlatform
from harness.swarm.joining import handshake
from harness.swarm.joining.lent import Lent, to_lend
from harness.swarm.joining.worker_machine import join
from harness.swarm.messaging.protocol import DEFAULT_PLATFORM, NO_ADAPTER, SwarmSpec
from harness.swarm.messaging.run_key import RunKey
from harness.swarm.users.loader import TREE
from tests.harness.swarm.joining.strange_masters import listening, master, welcome
from tests.harness.swarm.joining.test_worker_machine import KEY, call
from tests.harness.swarm.swarm_process import SHOP, shop_spec

TRAP = """
from pathlib import Path
Path(__file__).with_name("sprung").touch()
class Trap: ...
"""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file of this machine that leaves a trace when it is loaded."""
    file = tmp_path / "trap.py"
    file.write_text(TRAP)
    return file


def asking_for(platform: str, tmp_path: Path, own: OwnPlatform | None = None, **journeys: str) -> SwarmSpec:
    spec = shop_spec("http://127.0.0.1:1", tmp_path)
    addresses = msgspec.structs.replace(spec.addresses, own=own)
    return msgspec.structs.replace(spec, platform=platform, journeys=Journeys(**journeys), addresses=addresses)


def lent(spec: SwarmSpec, *load: Path, secrets: tuple[str, ...] = (), **digests: str) -> SwarmSpec:
    return Lent.of(load, secrets).only(spec, handshake.files_of(spec) | digests)


@contextmanager
def refused(words: str) -> Iterator[None]:
    with pytest.raises(InputError) as refusal:
        yield
    assert words in str(refusal.value)


@pytest.mark.parametrize("role", ["platform", "fan", "bot", "probe", "locustfile"])
def test_a_hostile_master_has_no_file_loaded_that_was_not_named(trap: Path, tmp_path: Path, role: str) -> None:
    named = f"{trap}:Trap"
    spec = asking_for(named, tmp_path) if role == "platform" else asking_for(DEFAULT_PLATFORM, tmp_path)
    if role != "platform":
        spec = msgspec.structs.replace(spec, journeys=Journeys(**{role: str(trap) if role == "locustfile" else named}))
    words = f"the master asks for {trap} (sha256 {handshake.digest_of(trap)[:16]}…), which you did not name"
    with master(welcome(spec), KEY) as port, refused(words):
        join(call(port, SHOP), 1, print)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("key", [None, RunKey.draw()], ids=["without a key", "with another key"])
def test_a_hostile_master_without_the_key_is_told_nothing_and_obeyed_in_nothing(
    trap: Path, tmp_path: Path, key: RunKey | None
) -> None:
    with master(welcome(asking_for(f"{trap}:Trap", tmp_path)), key) as port, refused("does not have this key"):
        join(call(port, trap), 1, print)
    assert not (tmp_path / "sprung").exists()


def test_a_hostile_master_in_plain_text_is_not_heard(trap: Path, tmp_path: Path) -> None:
    with listening(welcome(asking_for(f"{trap}:Trap", tmp_path))) as port, refused("does not have this key"):
        join(call(port, trap), 1, print)
    assert not (tmp_path / "sprung").exists()


def test_a_file_is_known_by_what_it_holds_wherever_it_lies(trap: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "shop.py"
    copy.parent.mkdir()
    copy.write_bytes(trap.read_bytes())
    assert lent(asking_for(f"{trap}:Trap", tmp_path), copy).platform == f"{copy}:Trap"
    copy.write_text(TRAP + "\n")
    with refused(f"the master asks for {trap}"):
        lent(asking_for(f"{trap}:Trap", tmp_path), copy)


def test_a_master_that_lies_about_a_file_gets_what_was_named_or_nothing(trap: Path, tmp_path: Path) -> None:
    spec = asking_for(f"{trap}:Trap", tmp_path)
    of_the_named = {str(trap): handshake.digest_of(SHOP)}
    assert lent(spec, SHOP, **of_the_named).platform == f"{SHOP}:Trap"
    with refused("which you did not name"):
        Lent.of([SHOP], ()).only(spec, {})


def test_what_comes_with_gatecrash_needs_no_name_and_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a file of that name in the folder in which the worker was started."""
    spec = asking_for(DEFAULT_PLATFORM, tmp_path)
    unaudited = asking_for(NO_ADAPTER, tmp_path)
    digests = handshake.files_of(spec) | handshake.files_of(unaudited)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "fan.py").write_text(TRAP)
    monkeypatch.chdir(tmp_path)
    only = Lent().only(spec, digests)
    assert only.journeys.fan == f"{TREE / 'scenarios' / 'fan.py'}:FanUser"
    assert only.platform == f"{TREE / 'scenarios' / 'reference' / 'platform.py'}:ReferencePlatform"
    assert Lent().only(unaudited, digests).platform == f"{TREE / NO_ADAPTER}"
    with refused("scenarios/fan.py: is not the same as at the master"):
        Lent().only(spec, digests | {"scenarios/fan.py": "0" * 64})


@pytest.mark.parametrize(
    "file",
    [
        "harness/cli/app.py", "tests/builders.py", "scenarios/../tests/builders.py", "../../etc/passwd",
        str(TREE / "scenarios" / "fan.py"), "scenarios/smoke.yaml",
    ],
)  # fmt: skip
def test_no_other_file_of_the_tree_comes_with_gatecrash(tmp_path: Path, file: str) -> None:
    spec = asking_for(f"{file}:Trap", tmp_path)
    digest = handshake.digest_of(TREE / file) if (TREE / file).is_file() else "0" * 64
    with refused(f"the master asks for {file}"):
        Lent().only(spec, handshake.files_of(asking_for(DEFAULT_PLATFORM, tmp_path)) | {file: digest})


def test_files_and_variables_of_a_platform_are_lent_by_name_too(tmp_path: Path) -> None:
    people, passwd = tmp_path / "people.csv", Path("/etc/passwd")
    people.write_text("login\nana\n")
    own = OwnPlatform(people=str(people), secrets={"token": "SHOP_TOKEN"}, headers={"X-Pass": "env:WAF_PASS"})
    spec = asking_for(DEFAULT_PLATFORM, tmp_path, own)
    with refused(f"the master asks for {people}"):
        lent(spec, secrets=("SHOP_TOKEN", "WAF_PASS"))
    with refused("the master asks for WAF_PASS of your environment, which you did not name"):
        lent(spec, people, secrets=("SHOP_TOKEN",))
    only = lent(spec, people, secrets=("SHOP_TOKEN", "WAF_PASS")).addresses.own
    assert only is not None
    assert only.people == str(people)
    for field in ("people", "ca_file"):
        with refused("the master asks for /etc/passwd"):
            lent(asking_for(DEFAULT_PLATFORM, tmp_path, OwnPlatform(**{field: str(passwd)})), people)


def with_codes(tmp_path: Path, on_sale: Path, load: Path | None = None) -> SwarmSpec:
    spec = asking_for(DEFAULT_PLATFORM, tmp_path)
    sale = replace(spec.scenario.on_sale, codes=str(on_sale))
    crowd = replace(spec.scenario.load, codes=str(load or ""))
    return replace(spec, scenario=replace(spec.scenario, on_sale=sale, load=crowd))


@pytest.mark.parametrize("key", ["on_sale", "load"])
def test_access_codes_are_lent_by_name_too(tmp_path: Path, key: str) -> None:
    good, shown, here = tmp_path / "codes.txt", tmp_path / "shown.txt", tmp_path / "here.txt"
    good.write_text("AA\nBB\n")
    shown.write_text("BB\n")
    used = good if key == "on_sale" else shown
    here.write_bytes(used.read_bytes())
    spec = with_codes(tmp_path, good, None if key == "on_sale" else shown)
    assert to_lend(spec) == ("--load", str(used))
    with refused(f"the master asks for {used}"):
        lent(spec)
    assert lent(spec, here).scenario.codes_shown == str(here)


def test_access_codes_that_come_with_gatecrash_need_no_name_wherever_the_master_has_them(tmp_path: Path) -> None:
    shipped = TREE / "scenarios" / "presale-codes.txt"
    at_master = tmp_path / "presale-codes.txt"
    at_master.write_bytes(shipped.read_bytes())
    spec = with_codes(tmp_path, at_master)
    assert to_lend(spec) == ()
    assert lent(spec).scenario.codes_shown == str(shipped)
    here = with_codes(tmp_path, shipped)
    assert handshake.scenario_digest(spec.scenario) == handshake.scenario_digest(here.scenario)


def test_a_worker_runs_no_command_of_the_masters_platform(tmp_path: Path) -> None:
    own = lent(asking_for(DEFAULT_PLATFORM, tmp_path, OwnPlatform(prepare="touch here"))).addresses.own
    assert own is not None
    assert own.prepare == ""
    assert own.parts == {}


def test_a_file_that_is_not_there_cannot_be_lent(tmp_path: Path) -> None:
    with refused(f"there is no file {tmp_path}/shop.py"):
        Lent.of([tmp_path / "shop.py"], ())
