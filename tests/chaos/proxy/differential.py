"""Asks two servers the same at random and compares status and body; `python -m tests.trust proxy` does it for long.

What differs on purpose (the table in differences.py) is left out of the comparison; then both are emptied, so that they
are alike again.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.chaos.proxy.random_asks import Ask, asks
from tests.chaos.servers import ProxyServer

OURS_REFUSES = ("must be above 0", "must not be negative")  # a slicer of size 0, a negative rate
LOOKUP = re.compile(r"lookup .*", re.DOTALL)
WORDS = re.compile(r"bad request body: .*", re.DOTALL)
PORT = re.compile(r":\d+$")
TAKEN = "address already in use"


@dataclass(frozen=True)
class Answer:
    """Status, body, and where a redirect leads."""

    status: int
    text: str
    location: str

    def comparable(self) -> tuple[int, object, str]:
        """Without what differs by chance or on purpose."""
        try:
            return self.status, _comparable(json.loads(self.text)), self.location
        except ValueError:
            return self.status, self.text, self.location


CLOSED = Answer(0, "closed without an answer", "")


@dataclass(frozen=True)
class Mismatch:
    """Two answers that should be the same."""

    ask: Ask
    real: Answer
    ours: Answer


def _comparable(found: object) -> object:
    """A document without Logger, version, ports, the words after `bad request body` and those of look-ups."""
    if isinstance(found, list):
        return [_comparable(each) for each in found]
    if not isinstance(found, dict):
        return found
    shown = {key: _comparable(value) for key, value in found.items() if key != "Logger"}
    if "version" in found:
        return "version"
    if isinstance(error := found.get("error"), str):
        shown["error"] = LOOKUP.sub("lookup", WORDS.sub("bad request body", error))
    if isinstance(listen := found.get("listen"), str):
        shown["listen"] = PORT.sub(":PORT", listen)
    return shown


def tell(server: ProxyServer, ask: Ask) -> Answer:
    """Ask it over a connection of its own, byte for byte."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    try:
        connection.putrequest(ask.method, ask.path, skip_accept_encoding=True)
        for name, value in ask.headers:
            connection.putheader(name, value)
        if ask.body:
            connection.putheader("Content-Length", str(len(ask.body)))
        connection.endheaders(ask.body or None)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), answer.headers.get("Location", ""))
    except ConnectionError:
        return CLOSED
    finally:
        connection.close()


def compare(real: ProxyServer, ours: ProxyServer, seed: int, count: int) -> Iterator[Mismatch]:
    """What the two answer otherwise, of `count` requests."""
    for ask in asks(seed, count):
        of_real, of_ours = tell(real, ask), tell(ours, ask)
        if not _differ_on_purpose(ask, of_real, of_ours):
            if of_real.comparable() == of_ours.comparable():
                continue
            yield Mismatch(ask, of_real, of_ours)
        _forget_all(real, ours)


def _differ_on_purpose(ask: Ask, real: Answer, ours: Answer) -> bool:
    """Whether the two may answer otherwise, or may be in different states from now on."""
    if TAKEN in real.text + ours.text:  # a free port that the other has got
        return True
    if ours.status == 400 and any(words in ours.text for words in OURS_REFUSES):
        return True
    if (
        ask.path.startswith("/reset") and real.status == ours.status == 500
    ):  # the order in which a real one resets varies
        return True
    if CLOSED in (real, ours) and 400 in {real.status, ours.status}:  # a body that came too late for the answer
        return True
    return "/toxics/" in ask.path and real.status == ours.status == 400  # a real one may have taken some attributes


def _forget_all(*both: ProxyServer) -> None:
    for server in both:
        names = server.call("GET", "/proxies").json()
        for name in names:
            server.session.delete(f"{server.url}/proxies/{_quoted(name)}", timeout=30)


def _quoted(name: str) -> str:
    return "".join(f"%{byte:02X}" for byte in name.encode())
