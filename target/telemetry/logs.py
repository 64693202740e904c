"""The log of a process on standard error: lines for people, or one JSON document each; never a secret.

Every line of a traced request has its trace id.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from target.settings import Settings
from target.telemetry import tracing

HIDDEN: Final = "[hidden]"
_TEXT: Final = "%(asctime)s %(node)s %(name)s %(trace)s%(message)s"
_PASSWORD: Final = re.compile(r"(?<=://)([^:/@\s]*):[^@/\s]+@")  # in a URL or a DSN
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{48,}={0,2}")  # signed tokens; ids and digests are shorter or in hex
_HEX: Final = re.compile(r"[0-9a-f]+")


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line in JSON. `at`: RFC 3339, UTC. `error`: a traceback."""

    at: str
    level: str
    node: str
    logger: str
    message: str
    trace_id: str = ""
    error: str = ""


class Redactor:
    """Removes secrets from text: those named, passwords in URLs, and strings that look like signed tokens."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _PASSWORD.sub(rf"\1:{HIDDEN}@", text)
        return _TOKEN.sub(lambda found: found[0] if _HEX.fullmatch(found[0]) else HIDDEN, text)


class _Text(logging.Formatter):
    def __init__(self, node: str, redact: Redactor) -> None:
        super().__init__(_TEXT, defaults={"node": node})
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        trace_id = tracing.trace_id()
        record.trace = f"trace={trace_id} " if trace_id else ""
        return self._redact(super().format(record))


class _Json(logging.Formatter):
    def __init__(self, node: str, redact: Redactor) -> None:
        super().__init__()
        self._node = node
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line = Line(
            at=datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            level=record.levelname.lower(),
            node=self._node,
            logger=record.name,
            message=self._redact(record.getMessage()),
            trace_id=tracing.trace_id(),
            error=self._redact(self.formatException(record.exc_info)) if record.exc_info else "",
        )
        return msgspec.json.encode(line).decode()


def configure(settings: Settings) -> None:
    """Sends the log of this process to standard error, in the format of the settings."""
    redact = Redactor((settings.secret, settings.admin_token, settings.webhook_secret))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Json(settings.node, redact) if settings.log_format == "json" else _Text(settings.node, redact)
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
