"""Settings: what is given is used; what cannot be is said in one line, with exit code 2."""

from __future__ import annotations

import subprocess
import sys

import pytest

from target.settings import SettingsError, from_environment
from tests.target.conftest import free_port
from tests.target.processes import ROOT


def test_values_are_parsed_and_the_rest_keeps_its_defaults() -> None:
    settings = from_environment({"TARGET_LISTEN": "0.0.0.0:81", "TARGET_HOLD_TTL_S": "8.5", "PATH": "/bin"})
    assert (settings.host, settings.port, settings.hold_ttl_s, settings.purchase_limit) == ("0.0.0.0", 81, 8.5, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TARGET_HOLD_TTL_S", "soon"),
        ("TARGET_HOLD_TTL_S", "0"),
        ("TARGET_WORKERS", "1.5"),
        ("TARGET_ADMISSION_BURST", "0"),
        ("TARGET_LISTEN", "8000"),
        ("TARGET_EVENT", "a b"),
        ("TARGET_HOLD_TTL", "8"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment({name: value})
    assert str(refused.value).startswith(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["booking"], {"TARGET_WORKERS": "none"}, "TARGET_WORKERS"),
        (["booking"], {"TARGET_VENUE": "moon"}, "TARGET_VENUE"),
        (["booking"], {"TARGET_BUG": "moth"}, "TARGET_BUG"),
        (["booking"], {"TARGET_LISTEN": "0.0.0.0:8000"}, "TARGET_SECRET is not set"),
        (["worker"], {"TARGET_LISTEN": "0.0.0.0:8000", "TARGET_SECRET": ""}, "TARGET_SECRET is not set"),
        (["booking"], {"TARGET_LISTEN": "0.0.0.0:80", "TARGET_SECRET": "x"}, "TARGET_WEBHOOK_SECRET is not set"),
        (["payments"], {"TARGET_LISTEN": "10.0.0.1:80"}, "TARGET_WEBHOOK_SECRET is not set"),
        (["cashier"], {}, "usage"),
        ([], {}, "usage"),
    ],
)
def test_a_role_that_cannot_start_exits_with_2(arguments: list[str], environment: dict[str, str], said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "target", *arguments],
        cwd=ROOT,
        env={"PATH": "/bin", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_migration_without_its_database_says_so_in_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "target", "migrate"],
        cwd=ROOT,
        env={"PATH": "/bin", "TARGET_PRIMARY_DSN": f"postgresql://127.0.0.1:{free_port()}/none"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("target: db: ")
    assert len(ended.stderr.splitlines()) == 1
