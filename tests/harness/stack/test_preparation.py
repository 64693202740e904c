"""The user's own preparation: what it replaces, how it fails, and that it says no secret."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.processes.identity import Identity
from harness.scenario import OwnPlatform
from harness.stack.preparation import Prepared, prepare, read
from tests.waiting import wait_until

SECRET = "sk-live-0815-4711"


def wrong(message: str, *keys: str | int, hint: str = "") -> InputError:
    return InputError(message, key=".".join(map(str, keys)), hint=hint)


def run(room: Path, command: str, **more: object) -> Prepared:
    platform = OwnPlatform(prepare=command, secrets={"token": "MYSHOP_TOKEN"}, **more)  # type: ignore[arg-type]
    return prepare(platform, room, room / "prepare.log", wrong)


def failed(room: Path, command: str, **more: object) -> str:
    with pytest.raises(InputError) as caught:
        run(room, command, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_its_lines_replace_address_and_settings(tmp_path: Path) -> None:
    (tmp_path / "prepare.sh").write_text(
        "echo hello\necho url=http://127.0.0.1:$1/onsale\necho settings.item=7\necho settings.name=Finals 2\n"
        "echo settings.late=true\necho other=1\n"
    )
    assert run(tmp_path, "sh ./prepare.sh 8080") == Prepared(
        "http://127.0.0.1:8080/onsale", {"item": 7, "name": "Finals 2", "late": True}
    )
    assert "hello" in (tmp_path / "prepare.log").read_text()


def test_it_is_given_our_own_interpreter_whatever_the_user_calls_by_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON", "/usr/bin/false")
    prepared = run(tmp_path, 'echo "settings.interpreter=$PYTHON"')
    assert prepared.settings["interpreter"] == sys.executable


def test_only_whole_lines_count_and_the_last_one_wins() -> None:
    assert read(["see url=http://a", "url=http://b", "url=http://c", "settings.a.b=1", "settings.x=007"]) == Prepared(
        "http://c", {"x": "007"}
    )


def test_a_failure_has_the_last_line_of_its_errors(tmp_path: Path) -> None:
    said = failed(tmp_path, "echo all well; echo first >&2; echo no database >&2; exit 3")
    assert said.startswith("platform.prepare: it exited with code 3: no database (see ")


def test_a_command_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "./prepare.sh" in failed(tmp_path, "./prepare.sh reset 50")


def test_one_that_is_not_done_in_time_is_killed_with_all_below_it(tmp_path: Path) -> None:
    said = failed(tmp_path, "sleep 600 & echo $! > pid; echo waiting >&2; sleep 600", prepare_within_s=0.5)
    assert "was not done within 0.5 s: waiting" in said
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: Identity.of(pid) is None, within_s=5, what="the end of what it had started")


def test_a_platform_that_it_starts_lives_on(tmp_path: Path) -> None:
    run(tmp_path, "sleep 600 & echo $! > pid")
    pid = int((tmp_path / "pid").read_text())
    assert Identity.of(pid) is not None
    os.kill(pid, 9)


def test_secrets_reach_it_and_never_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSHOP_TOKEN", SECRET)
    run(tmp_path, 'test -n "$MYSHOP_TOKEN" && echo "I have $MYSHOP_TOKEN"')
    assert (tmp_path / "prepare.log").read_text() == "I have ***\n"
    assert SECRET not in failed(tmp_path, 'echo "bad token $MYSHOP_TOKEN" >&2; exit 1')
    said = failed(tmp_path, "echo settings.token=$MYSHOP_TOKEN")
    assert "it printed a secret as token, which is recorded" in said
    assert SECRET not in said


@pytest.mark.parametrize("line", ["settings.=3", "settings.item =3", "settings.a.b=1", "url =http://a", "url="])
def test_a_line_that_was_meant_to_set_something_and_does_not_is_refused(tmp_path: Path, line: str) -> None:
    said = failed(tmp_path, f"echo settings.item=7; echo '{line}'")
    assert said.startswith(f"platform.prepare: it printed {line!r}, which sets nothing (write url=ADDRESS or ")


@pytest.mark.parametrize("line", ["settings.py was read", "the settings.=3", "curl = found", "url: http://a"])
def test_what_it_says_besides_is_left_alone(tmp_path: Path, line: str) -> None:
    assert run(tmp_path, f"echo '{line}'") == Prepared()
