"""One factory for each role that is an ASGI application; a feed node is none, see target/feed/node.py.

Imports are local, so that a process loads only the parts of its role.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette

from target.settings import Settings, SettingsError


def booking(settings: Settings) -> Starlette:
    """The booking API: waiting room, seats, holds, orders."""
    from target.roles.booking import create

    return create(settings)


def worker(settings: Settings) -> Starlette:
    """The background jobs and the operator's endpoints."""
    from target.roles.worker import create

    return create(settings)


def payments(settings: Settings) -> Starlette:
    """The payment provider: a third party, so it gets a few values and none of our types."""
    from target.payments.app import ProviderConfig, payments_app
    from target.payments.switches import SwitchesError, parse

    try:
        switches = parse(settings.payment_switches)
    except SwitchesError as error:
        raise SettingsError(f"TARGET_PAYMENT_SWITCHES={error}") from error
    return payments_app(
        ProviderConfig(
            ledger_path=Path(settings.ledger_path),
            think_time_s=settings.payment_time_ms / 1000,
            admin_token=settings.admin_token,
            webhook_url=settings.webhook_url,
            webhook_secret=settings.webhook_secret,
            switches=switches,
        )
    )
