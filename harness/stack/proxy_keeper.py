"""Gives an external Toxiproxy back as it was found: `python -m harness.stack.proxy_keeper`, told on standard input.

The first line is what to give back (`Borrowed`). At the end of input, when its parent is done or dead, it does so.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from typing import Final, cast
from urllib.parse import quote

import msgspec

from harness.input_file import NOT_JSON
from harness.processes.managed import child_environment
from harness.processes.starting import STOPPERS
from harness.record.collecting.fetch import call

_WITHIN_S: Final = 5.0


class Refused(OSError):
    """The server answered that it does not do what it was asked for."""


class Borrowed(msgspec.Struct, frozen=True):
    """Proxies that a run puts on the server at `url`. `before`: those of these names that stood there already, with
    their toxics.
    """

    url: str
    names: tuple[str, ...]
    before: tuple[dict[str, object], ...] = ()

    def give_back(self) -> None:
        """Delete what was new, put back what was replaced. Safe to do twice; a server that is gone has nothing."""
        kept = {str(proxy["name"]) for proxy in self.before}
        with suppress(OSError):
            for name in self.names:
                if name not in kept:
                    self._delete(name)
            if self.before:
                ask(self.url, "/populate", [_without_toxics(proxy) for proxy in self.before])
            for proxy in self.before:
                for toxic in cast("list[object]", proxy["toxics"]):
                    self._add(str(proxy["name"]), toxic)

    def _add(self, name: str, toxic: object) -> None:
        with suppress(Refused):  # it is there still, or again
            ask(self.url, f"/proxies/{quote(name, safe='')}/toxics", toxic)

    def _delete(self, name: str) -> None:
        with suppress(Refused):  # somebody else deleted it
            ask(self.url, f"/proxies/{quote(name, safe='')}", method="DELETE")


def _without_toxics(proxy: dict[str, object]) -> dict[str, object]:
    """As `/populate` of a Toxiproxy takes it."""
    return {key: value for key, value in proxy.items() if key != "toxics"}


def ask(url: str, path: str, body: object = None, method: str | None = None) -> bytes:
    """One call of the API of a Toxiproxy. Raises `Refused`, or another OSError where no whole answer comes in time."""
    method = method or ("GET" if body is None else "POST")
    answer = call(method, url + path, body, within_s=_WITHIN_S)
    if not answer.succeeded:
        raise Refused(f"{method} {path} was answered with {answer.status}")
    return answer.body


def keep(borrowed: Borrowed) -> subprocess.Popen[bytes]:
    """The process that gives it back when the returned one's standard input is closed, be it by our death."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.stack.proxy_keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_environment({}),
        start_new_session=True,  # Ctrl-C is for us, not for it
    )
    assert process.stdin is not None  # noqa: S101 — a pipe was asked for
    with suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(borrowed) + b"\n")
        process.stdin.flush()
    return process


def main() -> int:
    """Wait for the end of input, then give back."""
    for number in STOPPERS:
        signal.signal(number, signal.SIG_IGN)  # it ends with its parent
    try:
        borrowed = msgspec.json.decode(sys.stdin.buffer.readline(), type=Borrowed)
    except NOT_JSON:
        return 0  # its parent died before it could say
    sys.stdin.buffer.read()
    borrowed.give_back()
    return 0


if __name__ == "__main__":
    sys.exit(main())
