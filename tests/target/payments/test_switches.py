"""The switches of the provider, as a setting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from target.payments.switches import Switches, SwitchesError, parse


def test_switches_are_read_from_one_line() -> None:
    assert parse("") == Switches()
    assert parse("webhooks=late,webhook_delay_s=2.5,charge=slow,charge_ratio=0.1") == Switches(
        webhooks="late", webhook_delay_s=2.5, charge="slow", charge_ratio=0.1
    )


@pytest.mark.parametrize(
    "text",
    ["webhooks", "webhooks=never", "charge_ratio=1.1", "charge_delay_s=-1", "charge_delay_s=inf", "more=1", "=,"],
)
def test_what_is_no_switch_is_refused(text: str) -> None:
    with pytest.raises(SwitchesError):
        parse(text)


def test_a_ratio_of_zero_switches_nothing() -> None:
    switches = Switches(charge="error", charge_ratio=0.0, webhooks="lost", webhook_ratio=0.0)
    assert {switches.draw_charge() for _ in range(100)} == {"normal"}
    assert {switches.draw_webhook() for _ in range(100)} == {"normal"}


def test_a_bad_setting_ends_the_provider_with_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "TARGET_PAYMENT_SWITCHES": "charge=odd", "TARGET_LEDGER_PATH": str(tmp_path / "l")}
    done = subprocess.run(
        [sys.executable, "-m", "target", "payments"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("target: TARGET_PAYMENT_SWITCHES='charge=odd': ")
    assert len(done.stderr.splitlines()) == 1
