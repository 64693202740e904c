"""One factory for each role that is an ASGI application; a feed node is none, see target/feed.py.

Imports are local, so that a process loads only the parts of its role.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette

from target.settings import Settings


def booking(settings: Settings) -> Starlette:
    """The booking API: waiting room, seats, holds, orders."""
    from target.booking_app import create

    return create(settings)


def worker(settings: Settings) -> Starlette:
    """The background jobs and the operator's endpoints."""
    from target.worker import create

    return create(settings)


def payments(settings: Settings) -> Starlette:
    """The payment provider: a third party, so it is given three values and none of our types."""
    from target.payments.app import payments_app

    return payments_app(Path(settings.ledger_path), settings.payment_time_ms / 1000, settings.admin_token)
