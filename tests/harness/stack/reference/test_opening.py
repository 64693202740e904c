"""The rules of an on-sale as the booking system's own settings."""

from __future__ import annotations

import time

from harness.scenario import OnSale
from harness.stack.reference.opening import opens_at_s, target_settings
from target.settings import from_environment


def test_every_rule_of_an_on_sale_is_a_setting_that_the_booking_system_knows() -> None:
    told = from_environment(target_settings(OnSale(queue_policy="shuffle", pre_queue_s=8.0, hold_ttl_s=3.0), 1000.5))
    assert (told.queue_policy, told.opens_at_s, told.hold_ttl_s) == ("shuffle", 1000.5, 3.0)
    assert from_environment(target_settings(OnSale(), 0.0)).opens_at_s == 0.0


def test_only_a_pre_queue_has_an_opening() -> None:
    assert opens_at_s(OnSale()) == 0.0
    now_s = time.time()
    assert opens_at_s(OnSale(pre_queue_s=5.0, opens_after_s=60.0)) >= now_s + 60.0
