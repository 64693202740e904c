"""Whatever a platform does, no verb, stream, operator read or scrape raises: it ends, in time, with an answer, with a
row for each request, and in flat memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import gevent
import pytest

from harness.adapter.browsing.browser import Browser
from harness.adapter.browsing.site import Site
from harness.adapter.errors import NoAnswer
from harness.platform import AckedOrder, Answer, Call, FinalReads, Hold, Person, QueueStream
from harness.record.collecting.scrape import MetricsPage
from harness.record.schema import ERRORS, TABLES, Outcome
from harness.scenario import OwnPlatform, Tactic
from harness.scenario.own_platform import Limits
from harness.stack import Addresses
from harness.swarm.client.http import ClientLimits, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.bot import Loot, ReferenceBotSession
from scenarios.reference.fan import ReferenceFanSession
from scenarios.reference.feed import ReferenceSpectatorSession
from scenarios.reference.probes import Prober
from scenarios.reference.settle import Operator
from scenarios.reference.venue import SharedVenue
from scenarios.seat_choice import choose
from tests.hostile_server import BEHAVIOURS, GOOD, Behaviour, HostileServer, behaving

FAN = Person(user=3, kind="fan", actor="fan-000003", identity="person-000003")
HELD = Hold(hold_id="h.1", seats=("1-A-1", "1-A-2"), ttl_s=8.0)
LIMITS = ClientLimits(first_byte_s=0.5, whole_s=1.0, idle_s=1.0, body_bytes=2**20)
GROWTH_BYTES_MAX = 128 * 2**20
ENDS_WITHIN_S = 60.0
EVENTS_MAX = 50
ACKED = [AckedOrder(order_id="o/../1", actor="fan-1", identity="person-1")]
WORDS = {"", *ERRORS, "conflict", "limit", "declined", "expired", "missing", "used", "waiting", "nothing_to_steal"}
EVIL = (
    None,
    -1,
    2**70,
    1.5,
    "",
    "x" * 10_000,
    "\r\nHost: evil",
    "\x1b[31m\0",
    "é\u2028",
    [],
    {},
    [[]],
    {"x": None},
    True,
)


@contextmanager
def flat_memory() -> Iterator[None]:
    """Fails when the process grows beyond the bound meanwhile, however shortly."""
    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _kilobytes(status, "VmHWM")
    yield
    assert (_kilobytes(status, "VmHWM") - before) * 1024 < GROWTH_BYTES_MAX


def _kilobytes(status: Path, name: str) -> int:
    (line,) = [line for line in status.read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1])


def now() -> Call:
    return Call(t_intended_s=monotonic())


def session(server: HostileServer, recorder: Recorder) -> ReferenceFanSession:
    client = HttpClient(resolve(server.url), recorder, FAN, LIMITS)
    return ReferenceFanSession(client, recorder, FAN, "e", SharedVenue())


def bot(server: HostileServer, recorder: Recorder) -> ReferenceBotSession:
    client = HttpClient(resolve(server.url), recorder, FAN, LIMITS)
    loot = Loot()
    loot.ticket = "no ticket"
    return ReferenceBotSession(client, recorder, FAN, "e", SharedVenue(), Tactic.TAMPER_TICKET, loot)


def positions(fan: ReferenceFanSession) -> Answer[QueueStream]:
    """Opened, and followed for a while."""
    answer = fan.positions(now())
    if answer.value is not None:
        for number, _ in enumerate(answer.value):
            if number > EVENTS_MAX:
                break
        answer.value.close()
    return answer


def looks(fan: ReferenceFanSession) -> Answer[object]:
    """The layout and the map, and seats chosen from both."""
    venue, seat_map = fan.venue(now()), fan.seat_map(now())
    if venue.value is not None and seat_map.value is not None:
        choose(venue.value, seat_map.value, 2, _Dice(), aims_hot=True)  # type: ignore[arg-type]
        fan.hold(now(), ("1-A-1",))
    return seat_map


class _Dice:
    def roll(self) -> float:
        return 0.5


VERBS: dict[str, Callable[[ReferenceFanSession], Answer]] = {
    "queue_page": lambda fan: fan.queue_page(now()),
    "join": lambda fan: fan.join(now()),
    "positions": positions,
    "enter": lambda fan: fan.enter(now()),
    "venue and map": looks,
    "section_counts": lambda fan: fan.section_counts(now()),
    "hold": lambda fan: fan.hold(now(), HELD.seats),
    "release": lambda fan: fan.release(now(), HELD),
    "pay": lambda fan: fan.pay(now(), HELD, key="k", declined_on_purpose=False),
    "order": lambda fan: fan.order(now(), "o/1"),
}


def all_verbs(server: HostileServer, recorder: Recorder) -> list[Answer]:
    """Each verb of a fan's twice over one session, a bot's join, and a spectator's feed; all at the same time."""

    def fan(verb: Callable[[ReferenceFanSession], Answer]) -> list[Answer]:
        one = session(server, recorder)
        try:
            return [verb(one), verb(one)]
        finally:
            one.close()

    def bots_join() -> list[Answer]:
        one = bot(server, recorder)
        try:
            return [one.join(now())]
        finally:
            one.close()

    def follow() -> list[Answer]:
        feed = server.url.replace("http", "ws", 1)
        spectator = ReferenceSpectatorSession(recorder, FAN, (feed,), "e", LIMITS)
        answer = spectator.connect(now())
        if answer.outcome is Outcome.OK:
            following = gevent.spawn(spectator.follow)
            following.join(timeout=2.0)  # a feed has no end of its own
            following.kill()
            assert following.exception is None
        spectator.close()
        return [answer]

    working = [gevent.spawn(fan, verb) for verb in VERBS.values()] + [gevent.spawn(bots_join), gevent.spawn(follow)]
    gevent.joinall(working, timeout=ENDS_WITHIN_S, raise_error=True)
    return [answer for one in working for answer in one.get(block=False)]


def check_record(recorder: Recorder) -> None:
    """Every request sent is a row, and the rows can be written."""
    assert recorder.requests_sent == recorder.samples_recorded
    batches = recorder.take(ReleaseInstant(0.0, 0.0))
    assert sum(batches[name].num_rows for name in ("requests",)) == recorder.requests_sent
    for name, batch in batches.items():
        assert batch.schema.equals(TABLES[name])


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_every_verb_ends_with_an_answer_and_a_row(behaviour: Behaviour) -> None:
    recorder = Recorder(1)
    with behaving(behaviour) as server, flat_memory():
        answers = all_verbs(server, recorder)
    assert {answer.error for answer in answers} <= WORDS
    assert all((answer.outcome is Outcome.OK) == (answer.error == "") for answer in answers)
    check_record(recorder)


@pytest.mark.parametrize("field", GOOD)
def test_every_verb_ends_with_an_answer_whatever_a_document_says(field: str) -> None:
    for evil in EVIL:
        recorder = Recorder(1)
        content = json.dumps({**GOOD, field: evil}).encode()
        with behaving(lambda victim, content=content: victim.body(content)) as server:
            answers = all_verbs(server, recorder)
        assert {answer.error for answer in answers} <= WORDS
        check_record(recorder)


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_the_state_at_rest_is_read_as_far_as_it_can_be(behaviour: Behaviour) -> None:
    recorder = Recorder(1)
    with behaving(behaviour) as server, flat_memory(), gevent.Timeout(ENDS_WITHIN_S):
        addresses = Addresses(
            booking=server.url,
            feeds=(),
            event="e",
            admin=server.url,
            ledger=server.url,
            admin_token="t",
            opens_at_s=1.0,
        )
        operator = Operator(addresses, recorder, ends_s=monotonic() + 0.5)
        reads = operator.read(ACKED, 0.0)
        operator.sweep(["1-A-1", "1-A-2"])
    assert isinstance(reads, FinalReads)
    assert reads.at_rest or reads.notes
    recorder.cut_operations()
    check_record(recorder)


@pytest.mark.parametrize("name", ["null", "HTML", "line breaks in tokens", "closes at once", "408 and close"])
def test_ways_past_the_queue_are_tried_whatever_is_answered(name: str) -> None:
    recorder = Recorder(1)
    with behaving(BEHAVIOURS[name]) as server, gevent.Timeout(ENDS_WITHIN_S):
        addresses = Addresses(booking=server.url, feeds=(), event="e")
        Prober(resolve(server.url), addresses, recorder, "1-A-1", expired="over").run()
    recorder.cut_operations()
    check_record(recorder)


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_the_kits_browser_shows_a_page_or_says_why_not(behaviour: Behaviour) -> None:
    """Three requests in a row: what the first brought, cookies and Referer, must not harm the next."""
    recorder = Recorder(1)
    limits = Limits(connect_s=2.0, first_byte_s=0.5, whole_s=1.0, idle_s=0.5, body_bytes=2**20)
    with behaving(behaviour) as server, flat_memory(), gevent.Timeout(ENDS_WITHIN_S):
        browser = Browser(Site(OwnPlatform(url=server.url, limits=limits), {}), recorder, FAN)
        browser.begin("hold", now())
        words = [said(look, browser) for look in (look_at, look_at, post_to, hear_from, talk_to)]
        browser.close()
    assert set(words) <= {"", *ERRORS, "host"}
    check_record(recorder)


def said(look: Callable[[Browser], None], browser: Browser) -> str:
    """The word by which it ended; "" for none."""
    try:
        look(browser)
    except NoAnswer as failure:
        return failure.error
    return ""


def look_at(browser: Browser) -> None:
    page = browser.get("/")
    page.excerpt()
    page.select("p")
    assert isinstance(page.text, str)
    page.form()


def post_to(browser: Browser) -> None:
    page = browser.post("/cart", {"quantity": "1"})
    assert page.json is not Ellipsis


def hear_from(browser: Browser) -> None:
    for number, _ in enumerate(browser.events("/events")):
        if number > EVENTS_MAX:
            break


def talk_to(browser: Browser) -> None:
    socket = browser.websocket("/feed")
    with gevent.Timeout(2.0, False):
        for number, _ in enumerate(socket):
            if number > EVENTS_MAX:
                break
    socket.close()


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_a_source_of_metrics_gives_rows_or_a_gap_with_a_reason(behaviour: Behaviour) -> None:
    with behaving(behaviour) as server, flat_memory():
        page = MetricsPage(f"{server.url}/metrics")
        for _ in range(2):
            rows = page.rows("booking", 0.0)
            assert rows == [] if rows is not None else len(page.instead.splitlines()) <= 1
        page.close()
