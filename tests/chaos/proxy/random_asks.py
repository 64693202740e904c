"""Requests to the API at random: sensible ones, ones that are a little off, and bodies with bytes changed.

The same seed gives the same requests. They never name a fixed port, so that two servers can be asked the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

NAMES = ("a", "b", "A", "ü", "\ufffd", "a b", "x" * 300)
TOXICS = ("t", "latency_downstream", "slicer_upstream", "T")
TYPES = ("latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data", "noop", "Latency", "no")
LISTENS = (
    "127.0.0.1:0", "localhost:0", ":0", "", "0.0.0.0:0", "[::]:0", "[::1]:0", "127.0.0.1:", "LOCALHOST:0",
    "[localhost]:0", "[::ffff:127.0.0.1]:0", "[]:0", "127.0.0.1:+0", "127.0.0.1:-0", "127.0.0.1:00",
    "[::1:0", "[::1]0", "::1:0", "]:0", "a]b:0", "*:0", "127.1:0", "127.0.0.01:0", "1:0", "256.1.1.1:0", "a..b:0",
    "ü:0", "127.0.0.1:٣", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1:99999999999999999999", "127.0.0.1:0x50",
    "127.0.0.1:no",
    "127.0.0.1:1:2", "nonsense", "\ud800:0", "a b:0", "-a:0", "a-:0", "\x00:0", "127.0.0.1%lo:0", "y" * 300 + ":0",
)  # fmt: skip
UPSTREAMS = ("127.0.0.1:9", "localhost:9", "nowhere", "", "ü\ud800", "127.0.0.1:99999", "a..b:1", "<&>\u2028")
STREAMS = ("upstream", "downstream", "Upstream", "DOWNSTREAM", "", "up", "ups\u017fream")
NUMBERS = (
    "0", "1", "-1", "7", "100", "8000.0", "1e3", "1E2", "-0", "0.5", "0.1", "1e400", "1e39", "3.4e38", "1e-50",
    "16777217",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9" * 320, "9" * 5000,
    "NaN", "Infinity", "-Infinity", "01", "+1", "1.", ".5", "0x10", '"5"', "true", "null", "[]", "{}", "1_0",
)  # fmt: skip
ODD = (
    "null", "[]", "{}", '""', "0", "true", "[null]", "[[]]", "[{}]", "nul", "tru", "-", '"', '"\\', '"\\u12', "{",
    "[", "}", "", " ", "\ufeff{}", "{,}", "[,]", "[1,]", '{"a"}', '{"a":}', '{"a":1,}', "{'a':1}",
    "/**/{}", "\x00", '"\\q"', '"\t"',
    "[" * 980 + "]" * 980, "[" * 9_999 + "]" * 9_999, "[" * 10_001, '{"a":' * 700 + "1" + "}" * 700,
)  # fmt: skip
METHODS = ("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "get")
PATHS = (
    "/", "//", "/version", "/version/", "//version", "/reset/", "/nothing", "/proxies/", "/proxies//a", "/./proxies",
    "/proxies/a/../b", "/proxies/%2e%2e/version", "/proxies/a/", "/proxies/a/toxics/", "/proxies/a/b", "/proxies/%00",
    "/proxies/%ff", "/proxies/%EF%BF%BD", "/metrics", "/proxies?x=1", "/Proxies", "/proxies/a?b=c", "/proxies;x",
    "/proxies/a/toxics/t/u", "/proxies/" + "z" * 9_000, "/proxies/%zz", "/proxies/a%20b",
)  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """One request."""

    method: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def asks(seed: int, count: int) -> Iterator[Ask]:
    chance = random.Random(seed)
    for _ in range(count):
        yield _ask(chance)


def _ask(chance: random.Random) -> Ask:
    name, toxic = quote(chance.choice(NAMES[:5])), quote(chance.choice(TOXICS))
    one = f"/proxies/{name}"
    likely = {
        "create": ("POST", "/proxies", _proxy(chance)),
        "update": (chance.choice(("POST", "PATCH")), one, _proxy(chance)),
        "populate": ("POST", "/populate", _listed(chance)),
        "toxic": ("POST", f"{one}/toxics", _toxic(chance)),
        "change": (chance.choice(("POST", "PATCH")), f"{one}/toxics/{toxic}", _toxic(chance)),
        "show": ("GET", chance.choice(("/proxies", one, f"{one}/toxics", f"{one}/toxics/{toxic}")), ""),
        "delete": ("DELETE", chance.choice((one, f"{one}/toxics/{toxic}", f"{one}/toxics/{toxic}")), ""),
        "reset": ("POST", "/reset", chance.choice(("", "{", "x"))),
        "odd": (chance.choice(METHODS), chance.choice((*PATHS, "/proxies", one)), chance.choice(ODD)),
    }
    method, path, text = chance.choices(list(likely.values()), (6, 6, 4, 8, 6, 4, 2, 1, 3))[0]
    body = text.encode(errors="surrogatepass")
    if body and chance.random() < 0.15:
        body = _damaged(chance, body)
    return Ask(method, path, body, _headers(chance))


def _headers(chance: random.Random) -> tuple[tuple[str, str], ...]:
    odd = [("User-Agent", "Mozilla/5.0"), ("Content-Type", "text/plain"), ("Content-Encoding", "gzip"), ("Accept", "x")]
    return (chance.choice(odd),) if chance.random() < 0.08 else ()


def _damaged(chance: random.Random, body: bytes) -> bytes:
    """One to three bytes changed, taken out, put in or doubled. Digits stay: no port comes about."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed) + 1)
        part = chance.choice(
            (b"", b"\xff", b"\xed\xa0\x80", b'"', b"{", b"}", b",", b":", b"\\", b" ", b"\x00", b"\xc3")
        )
        changed[at : at + chance.randint(0, 2)] = part
    return bytes(changed)


def _members(chance: random.Random, members: dict[str, str], left_out: float) -> str:
    """An object: keys in odd case, some left out, some twice, some unknown."""
    shown = [(_cased(chance, key), value) for key, value in members.items() if chance.random() >= left_out]
    if shown and chance.random() < 0.05:
        shown.append((_cased(chance, shown[0][0]), chance.choice((shown[0][1], *ODD[:8]))))
    if chance.random() < 0.1:
        shown.append(("more", chance.choice(ODD[:8])))
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in shown) + "}"


def _cased(chance: random.Random, key: str) -> str:
    return chance.choice((key.upper(), key.title(), key.replace("s", "\u017f"))) if chance.random() < 0.1 else key


def _text(chance: random.Random, values: tuple[str, ...]) -> str:
    return chance.choice(ODD[:8]) if chance.random() < 0.03 else json.dumps(chance.choice(values))


def _proxy(chance: random.Random) -> str:
    usual = chance.random() < 0.7
    return _members(
        chance,
        {
            "name": _text(chance, NAMES[:5] if usual else NAMES),
            "upstream": _text(chance, UPSTREAMS[:2] if usual else UPSTREAMS),
            "listen": _text(chance, LISTENS[:3] if usual else LISTENS),
            "enabled": chance.choice(("true", "false", "null", "true", "1" if not usual else "true")),
        },
        0.1,
    )


def _listed(chance: random.Random) -> str:
    entries = [chance.choice((_proxy(chance), _proxy(chance), "null")) for _ in range(chance.randint(0, 3))]
    return chance.choice((f"[{','.join(entries)}]", f"[{','.join(entries)}]", *ODD)) if chance.random() < 0.3 else (
        f"[{','.join(entries)}]"
    )  # fmt: skip


def _toxic(chance: random.Random) -> str:
    usual = chance.random() < 0.6
    numbers = NUMBERS[:5] if usual else NUMBERS
    kind = chance.choice(TYPES[:8] if usual else TYPES)
    fields = ("latency", "jitter", "rate", "delay", "timeout", "bytes")
    attributes = {field: chance.choice(numbers) for field in fields if chance.random() < 0.4}
    return _members(
        chance,
        {
            "type": json.dumps(kind),
            "name": _text(chance, TOXICS),
            "stream": _text(chance, STREAMS[:3] if usual else STREAMS),
            "toxicity": chance.choice(numbers),
            "attributes": _members(chance, attributes | {"average_size": "64", "size_variation": "8"}, 0.0)
            if usual or chance.random() < 0.8
            else chance.choice(ODD[:8]),
        },
        0.25,
    )
