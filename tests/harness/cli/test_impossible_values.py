"""Values that no command can use: each is refused in one line with exit code 2, and before anything is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import ExitCode, InputError
from harness.scenario import Override
from tests.fuzz.subjects import run_command

TOO_LONG = "x" * 300
BYTES = "Ad\udce4"  # what the shell hands over for bytes that are no UTF-8
KEY = "a" * 64


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("worker --key {key} --master a..b:5557", "--master: 'a..b' is no name of a host that can be looked up"),
        ("worker --key {key} --master {long}:5557", "is no name of a host that can be looked up"),
        ("worker --key {key} --master [x", "--master: '[x': Invalid IPv6 URL"),
        ("worker --key {key} --master http://h", "--master: 'http://h' names no host"),
        ("worker --key {key} --master h --load {long}", "is too long for a path"),
        ("worker --key {key} --master h --wait inf", "should be less than or equal to 1000000"),
        ("rehearse --listen a..b", "--listen: 'a..b' is no name of a host that can be looked up"),
        ("rehearse --listen [x", "--listen: '[x': Invalid IPv6 URL"),
        ("rehearse --random-faults 1{zeros}", "should be less than or equal to 1000"),
        ("rehearse --remote-workers 1{zeros}", "should be less than or equal to 1000000"),
        ("rehearse --min-grade {bytes}", "is no text in UTF-8"),
        ("drill redis-down --set a{bytes}=1", "is no text in UTF-8"),
        ("scenario check {bytes}.yaml", "is no text in UTF-8"),
        ("experiment show latency --edge {bytes}", "is no text in UTF-8"),
        ("findings runs/x --owner a={bytes}", "is no text in UTF-8"),
        ("findings runs/x --accept a --until 2026-12-24 --by {bytes}", "is no text in UTF-8"),
        ("findings runs/x --accept a --until 2026-12-24 --by Ada --why {bytes}", "is no text in UTF-8"),
        ("findings runs/x --file {long}", "is too long for a path"),
        ("runs --out {long}", "is too long for a path"),
        ("report runs/x --out {long}", "is too long for a path"),
        ("gate {long}", "is too long for a path"),
        ("compare runs/x {long}", "is too long for a path"),
        ("selftest --out {long}", "is too long for a path"),
        ("init {long}", "is too long for a path"),
        ("init a --from-har {long}", "is too long for a path"),
        ("chaos export redis-down --out {long}", "is too long for a path"),
        ("toxiproxy --config {long}", "is too long for a path"),
        ("target up --logs {long}", "is too long for a path"),
        ("plan --users 1000000000000000 --window 30", "should be less than or equal to 10000000"),
        ("plan --users 10 --window inf", "should be less than or equal to 1000000"),
        ("plan --users 10 --window nan", "Invalid value for '--window'"),
        ("capacity --rates 10,fast", "--rates: '10,fast' is no list of rates"),
        ("capacity --rates 10,nan", "--rates: '10,nan' cannot be climbed"),
        ("capacity --rates 0", "--rates: '0' cannot be climbed"),
        ("capacity --rates 10,inf", "--rates: '10,inf' cannot be climbed"),
        ("capacity --lasting inf", "should be less than or equal to 3600"),
        ("capacity --tickets 100", "--tickets: a real sale has tickets and fans"),
        ("capacity --out {long}", "is too long for a path"),
        ("adapter check shop.py:Shop --stack http://a..b", "no name of a host that can be looked up"),
    ],
)
def test_it_is_refused_in_one_line(command: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text("class Shop: pass\n")
    filled = command.format(key=KEY, long=TOO_LONG, bytes=BYTES, zeros="0" * 30)
    with pytest.raises(InputError) as refused:
        run_command(filled.split())
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == ExitCode.BAD_INPUT
    assert {path.name for path in tmp_path.iterdir()} == {"shop.py"}


@pytest.mark.parametrize(
    "command", ["chaos export redis-down --out pipe", "chaos import pipe", "toxiproxy --config pipe"]
)
def test_a_pipe_with_nobody_at_its_other_end_is_not_waited_for(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(InputError, match=r"^pipe: "):
        run_command(command.split())


def test_a_path_of_many_folders_is_too_long_as_well() -> None:
    with pytest.raises(InputError, match=r"is too long for a path \(a name has at most 255 bytes, a path 4,095\)"):
        run_command(["runs", "--out", "d/" * 2500])


def test_a_long_option_is_cut_where_it_is_named() -> None:
    with pytest.raises(InputError) as refused:
        raise InputError("no", key=Override.parse(f"load.fans={'1' * 5000}").option)
    assert len(str(refused.value)) < 300
