"""Locust's own pages during a rehearsal (`--web`): to watch, not to steer. The rehearsal decides when users go."""

from __future__ import annotations

from typing import Final

import gevent
from flask import Response, request
from locust.env import Environment
from locust.stats import stats_history
from locust.web import WebUI

LOOPBACK: Final = "127.0.0.1"
_CONFLICT: Final = 409


def serve(environment: Environment, port: int) -> WebUI:
    """Serve them at this machine's loopback until the process ends. Raises OSError when the port is taken."""
    pages = environment.create_web_ui(LOOPBACK, port, delayed_start=True)
    assert pages.app is not None  # noqa: S101 - made by the line above
    pages.app.before_request(_only_watch)
    pages.start()  # type: ignore[no-untyped-call]
    gevent.spawn(stats_history, environment.runner)
    return pages


def _only_watch() -> Response | None:
    """Start, edit and stop are the rehearsal's; so is what Locust would take from a form."""
    if request.method == "POST":
        return Response("gatecrash rehearses: this page only shows it\n", _CONFLICT, mimetype="text/plain")
    return None
