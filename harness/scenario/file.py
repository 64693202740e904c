"""A scenario file, parsed once at the edge into a frozen `Scenario`.

What is wrong in a file is said in one line with file, line, key, what was expected and how to mend it; nothing starts.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from harness.errors import InputError
from harness.hosts import address_of
from harness.input_file import is_file
from harness.registry.indicators import INDICATORS
from harness.registry.invariants import INVARIANTS
from harness.scenario import own_checks
from harness.scenario.codes import check_codes
from harness.scenario.openslo import Slo, read_slos
from harness.scenario.own_platform import OwnPlatform, Rules
from harness.yaml_file import YamlFile, mapping_at, suggest, value_of

FOLDER: Final = Path(__file__).resolve().parents[2] / "scenarios"
DEFAULT: Final = "playoff-presale"
_SHOWN_MAX: Final = 60
PARTY_MAX: Final = 16  # seats that a fan can go for at once, whatever the purchase limit

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
People = Annotated[int, Meta(ge=0, le=10_000_000)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what a record can hold
Positive = Annotated[float, Meta(gt=0, le=1_000_000_000)]
NotNegative = Annotated[float, Meta(ge=0, le=1_000_000_000)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the sections: frozen, and an unknown key is refused."""


class OnSale(_Section, frozen=True):
    """How the reference booking system is set up for this on-sale. Ignored for a platform of the user's own."""

    event: Name = "playoff-g1"  # the name of the event on sale
    venue: str = "arena"  # arena, or a venue file
    accessible_pairs: Count = (
        0  # in each section: wheelchair places with a companion seat, kept to the end for fans who declare the need
    )
    hold_ttl_s: Positive = 8.0  # how long a hold keeps its seats
    hold_late_max_s: Positive = (
        1.0  # a hold may outlive its time by so much; the reference system looks 4 times a second
    )
    map_late_max_s: Positive = 1.0  # a seat map that is not marked stale may be so old
    holds: Literal["lua", "watch"] = "lua"  # how Redis changes seats: by scripts, or by transactions
    place_grace_s: Positive = 60.0  # a fan without a stream of positions keeps the place for so long
    queue_policy: Literal["fifo", "shuffle"] = "fifo"  # shuffle: lots are drawn among who came before the opening
    pre_queue_s: NotNegative = 0.0  # from T0 fans gather for so long, then the sale opens; 0: it is open from the start
    opens_after_s: Positive = 40.0  # with a pre-queue: after the stack is asked for; all is to be up and armed before
    admission: Literal["fixed", "adaptive"] = "fixed"  # adaptive: steered by the share of holds that conflict
    admission_rate_per_s: Positive = 30.0  # adaptive: the first rate
    admission_burst: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 30  # admitted at once at most
    admission_floor_per_s: Positive = 5.0  # adaptive: the lowest rate
    admission_ceiling_per_s: Positive = 60.0  # adaptive: the highest rate
    admission_valid_s: Positive = 600.0  # an admitted fan may buy for so long
    conflict_target: Ratio = 0.1  # adaptive: the share of holds that may conflict
    challenge: Literal["none", "proof_of_work"] = "proof_of_work"  # what is asked of whoever joins
    challenge_bits: Annotated[int, Meta(ge=1, le=32)] = 8  # leading zero bits; each doubles the work
    joins_per_device: Count = 8  # in a minute; 0: no limit
    places_per_identity: Annotated[int, Meta(ge=0, le=1)] = 0  # 1: on one device alone; 0: each fan gets a place
    codes: str = ""  # a file with an access code a line, each good for one fan; "": nobody needs one
    purchase_limit: Count = 4  # 0: no limit
    booking_processes: Annotated[int, Meta(ge=1, le=64)] | None = None  # embedded; null: as the visitors need
    niceness: Annotated[int, Meta(ge=0, le=19)] = (
        0  # embedded: how far it stands back where the load needs the processor
    )
    database_connections: Annotated[int, Meta(ge=2, le=24)] = 16  # to each shard, of all booking processes together
    dependency_timeout_s: Positive = 1.0  # so long the booking system waits for Redis and databases
    payment_flow: Literal["sale", "authorise"] = "sale"  # authorise: the money is reserved first, captured later
    payment_time_ms: Count = 60  # how long the provider takes
    payment_switches: str = ""  # how the provider misbehaves, e.g. "webhooks=late,charge=slow,charge_ratio=0.1"


class Journey(_Section, frozen=True):
    """How fans behave. Ratios are of fans; every choice is drawn from the seed.

    `think_s` is the median of a log-normal pause before each deliberate step; `patience_s` is how long a fan waits in
    the queue (and retries later steps) before giving up, the median of a log-normal one when `patience_sigma` is not 0.
    """

    think_s: NotNegative = 0.3  # median pause before each deliberate step
    think_sigma: NotNegative = 0.5  # of its log-normal distribution
    join_pause_s: NotNegative = 0.0  # median, log-normal: from the queue page to the join; devices are not equally fast
    patience_s: Positive = 60.0  # how long fans wait in the queue, and try again later
    patience_sigma: NotNegative = 0.0  # of its log-normal distribution; 0: all are equally patient
    party_sizes: dict[int, NotNegative] = msgspec.field(
        default_factory=lambda: {1: 0.2, 2: 0.5, 3: 0.1, 4: 0.2}
    )  # weights
    abandon_hold_ratio: Ratio = 0.05  # hold seats, never pay
    release_hold_ratio: Ratio = 0.03  # hold, change their mind, release
    declined_card_ratio: Ratio = 0.03  # pay with a card that the provider declines
    dropped_stream_ratio: Ratio = 0.05  # leave the stream of positions once told of them, and come back with the ticket
    hot_section_ratio: Ratio = 0.6  # aim for the best sections, or the first pool: contention
    takes_fewer_ratio: Ratio = 0.5  # where their party finds no seats together, take what is left
    apart_ratio: Ratio = (
        0.0  # before that: take seats of one section that are apart; the others want adjacent seats only
    )
    accessible_ratio: Ratio = (
        0.0  # declare the need of an accessible seat, and take a wheelchair place with companion seats for their party
    )
    accessible_misuse_ratio: Ratio = 0.0  # of the others, and of bots: try accessible seats first, without the need
    returns_ratio: Ratio = 0.3  # when nothing is left, stay and look for what comes back; the others leave
    look_again_s: Positive = 1.0  # how often those look, the median of a log-normal pause
    standing_ratio: Ratio = 0.5  # where a sale has seats and pools: want tickets of a pool
    over_limit_ratio: Ratio = (
        0.05  # pairs of fans who are one identity: one wants all that it may have, one a seat more
    )
    shared_code_ratio: Ratio = 0.0  # pairs of fans who come with one access code
    reload_ratio: Ratio = 0.0  # load the queue page again and again while they wait
    reload_after_s: Positive = 3.0  # how long those have patience with it, the median of a log-normal one
    lost_ticket_ratio: Ratio = 0.3  # of those reloads: the browser has forgotten the ticket, and the fan joins again
    tabs_ratio: Ratio = 0.0  # have the queue open in one to three further tabs
    second_device_ratio: Ratio = 0.0  # pairs of fans who are one person on two devices
    repeat_payment_ratio: Ratio = 0.05  # post their payment again under the same idempotency key, once it is answered


class Tactic(StrEnum):
    """What a bot does that a person would not."""

    SKIP_CHALLENGE = "skip_challenge"  # joins without solving what is asked of it
    SHARE_DEVICE = "share_device"  # plays many fans from one device
    OVER_LIMIT = "over_limit"  # buys for one identity in many sessions, on many devices
    REPLAY_TICKET = "replay_ticket"  # comes with a ticket that was given to another
    TAMPER_TICKET = "tamper_ticket"  # comes with another's ticket, rewritten to its own name and an earlier place
    GUESS_CODE = "guess_code"  # invents an access code
    SHARE_CODE = "share_code"  # comes with the access code of a fan


_OF_CODES: Final = (Tactic.GUESS_CODE, Tactic.SHARE_CODE)
_USUAL_TACTICS: Final = tuple(tactic for tactic in Tactic if tactic not in _OF_CODES)


class Arrivals(_Section, frozen=True):
    """When fans, bots and lurkers come, in s after T0; spectators are there before.

    step: all at T0 · waves: an equal share at each instant of `waves_s` · ramp: evenly over `ramp_s`, the average load
    that a step is compared with. `hum_ratio` of them come evenly over the whole run instead: background traffic.
    `surge_ratio` of the others come later as a second crowd, most of them at its beginning.
    """

    shape: Literal["step", "waves", "ramp"] = "step"  # see above
    waves_s: tuple[NotNegative, ...] = (0.0,)  # the instants of the waves
    ramp_s: Positive = 30.0  # how long the ramp is
    hum_ratio: Ratio = 0.0  # of them, spread over the whole run
    surge_ratio: Ratio = 0.0  # of the others, in a second crowd
    surge_at_s: NotNegative = 10.0  # when that one begins to come
    surge_s: Positive = 3.0  # how long it takes to come


TAIL_USERS_MOST: Final = 2_000
"""Of so many users the reference system keeps all spans until the end: some 200,000, of 60 MB."""


class Load(_Section, frozen=True):
    """Who comes, and how they are released. `tactics` are weights: what the bots do, one tactic each.

    Lurkers open the queue page, perhaps load it again, and leave without joining.

    Of the journeys that are traced the seeded share of `trace_ratio` is kept, and from the larger one of
    `trace_tail_ratio` those that turn out to be slowest, to fail or to meet a fault. `trace_tail_ratio` null: 2,000
    users at most; on a platform of one's own, or with a `trace_ratio` of 0, none.
    """

    fans: People = 1000  # who want to buy
    bots: People = 0  # who want to buy by other means, see tactics
    lurkers: People = 0  # who look at the queue page and leave
    spectators: People = 100  # who follow the feed of seats
    probes: Count = 8  # look at the seats once a second each, so that each fault meets somebody who does
    workers: Annotated[int, Meta(ge=1, le=10_000)] | None = None  # null: one per spare core
    source_addresses: tuple[str, ...] = ()  # of all machines; each has its own local ports. Empty: as many as needed
    answer_timeout_s: Positive = 10.0  # so long a fan's device waits for an answer of the reference system
    connect: Literal["warm", "cold"] = "warm"  # warm: connections are open before T0; cold: opened at T0
    whole_users_max: Annotated[int, Meta(ge=1)] = 20_000
    """The requests of so many users are recorded one by one. Of more users a share of so many is drawn by the seed;
    the requests of the others are summed up by the second where they are sent."""
    whole_feeds_max: Annotated[int, Meta(ge=1)] = 500
    """So many spectators are recorded event by event. Of more, a fifth of so many are, drawn by the seed; the changes
    that the others receive are checked and summed up where they arrive."""
    trace_ratio: Ratio = 0.01  # of the users: their requests carry a traceparent, their spans are in the record
    trace_tail_ratio: Ratio | None = None  # of the users: traced too, and kept if slow, failed or met by a fault
    arm_timeout_s: Positive = 20.0  # so long without one more user who is ready ends the arming
    release_window_s: Positive = 0.5  # all first sends within this after T0
    codes: str = ""  # a file with the access codes that fans and bots come with, one each; "": those of on_sale.codes
    arrivals: Arrivals = Arrivals()  # when they come
    journey: Journey = Journey()  # how fans behave
    tactics: dict[Tactic, NotNegative] = msgspec.field(
        default_factory=lambda: dict.fromkeys(_USUAL_TACTICS, 1.0)
    )  # weights of what the bots do

    @property
    def users(self) -> int:
        """All of them."""
        return self.fans + self.bots + self.lurkers + self.spectators

    def traced_ratio(self, *, own_platform: bool) -> float:
        """Of the users: those who carry a traceparent."""
        tail_ratio = self.trace_tail_ratio
        if tail_ratio is None:
            few = self.trace_ratio > 0 and not own_platform
            tail_ratio = min(1.0, TAIL_USERS_MOST / self.users) if few and self.users else 0.0
        return max(self.trace_ratio, tail_ratio)

    @property
    def visitors(self) -> int:
        """All who come to the platform's pages, and need an account where there are some."""
        return self.fans + self.bots + self.lurkers

    @property
    def whole_feeds(self) -> int:
        """How many spectators are recorded event by event."""
        return self.spectators if self.spectators <= self.whole_feeds_max else -(-self.whole_feeds_max // 5)

    @property
    def people_from(self) -> dict[str, int]:
        """Kind of visitor → the first of their rows of the people file."""
        return {"fan": 0, "bot": self.fans, "lurker": self.fans + self.bots}

    @property
    def who(self) -> str:
        """All of them, in words."""
        bots = f", {self.bots:,} bots" if self.bots else ""
        lurkers = f", {self.lurkers:,} lurkers" if self.lurkers else ""
        return f"{self.fans:,} fans{bots}{lurkers}, {self.spectators:,} spectators"


class Journeys(_Section, frozen=True):
    """The Locust user class of each kind of user, and the class of the probes, as FILE:CLASS.

    Paths of your own are relative to the scenario file.
    """

    fan: str = "scenarios/fan.py:FanUser"
    """What fans do."""
    bot: str = "scenarios/bot.py:BotUser"
    """What bots do."""
    lurker: str = "scenarios/lurker.py:LurkerUser"
    """What those do who look at the queue page and leave."""
    spectator: str = "scenarios/spectator.py:SpectatorUser"
    """What those do who follow the feed of seats."""
    probe: str = "scenarios/probe.py:Probe"
    """What our own probes do, which look at the seats at a steady pace."""
    locustfile: str = ""
    """A file of Locust's whose users come in place of the fans. They use no adapter, so nothing is audited."""

    @property
    def classes(self) -> dict[str, str]:
        """Kind → FILE:CLASS."""
        return {kind: getattr(self, kind) for kind in self.__struct_fields__ if kind != "locustfile"}

    @property
    def files(self) -> set[str]:
        """Every FILE that is named."""
        return {reference.rpartition(":")[0] for reference in self.classes.values()} | set(
            filter(None, [self.locustfile])
        )

    def beside(self, folder: Path) -> Journeys:
        """With the paths of the user's own made whole."""
        own = {kind: f"{folder / one}" for kind, one in self.classes.items() if one != SHIPPED_JOURNEYS[kind]}
        return replace(self, **own, locustfile=f"{folder / self.locustfile}" if self.locustfile else "")


SHIPPED_JOURNEYS: Final = Journeys().classes
"""The journeys that come with gatecrash."""


class PlannedFault(_Section, frozen=True):
    """One experiment on the release clock. `length_s` null: the experiment's own length.

    The generic experiments (cut, hang, latency, errors, drop, stop, kill) break an `edge` or a `part` of the platform;
    `ms`: of latency, `percent`: of errors and drop.
    """

    experiment: str  # a name of `experiment list`, a generic one, or a file
    start_s: NotNegative  # when it begins
    length_s: Positive | None = None  # how long it stays
    edge: str = ""  # what a generic one breaks: an edge of the platform
    part: str = ""  # or a part
    ms: Annotated[int, Meta(gt=0)] | None = None  # the delay of latency
    percent: Annotated[float, Meta(gt=0, le=100)] | None = None  # the share that errors and drop hit


class Objective(_Section, frozen=True):
    """100 points at `target`, 0 at `worst`, a straight line between. `required`: not observable caps the grade."""

    target: float  # worth 100 points
    worst: float  # worth 0 points; at or beyond it a required objective means NOT READY
    required: bool = True  # false: it counts in the score alone


class GeneratorLimits(_Section, frozen=True):
    """Beyond these the load generator itself is in doubt: first figure DEGRADED, second INVALID.

    The first figure of `loop_lag_ms_p99` holds only where what the lag added to response times was not measured.
    """

    loop_lag_ms_p99: tuple[float, float] = (100.0, 1000.0)  # how late the event loop ran
    stall_s: tuple[float, float] = (1.0, 2.0)  # the longest time in which a worker measured nothing
    missing_ratio: tuple[float, float] = (0.05, 0.15)  # of the run: in which a worker measured nothing
    scrape_late_s: tuple[float, float] = (2.0, 10.0)  # the oldest page of metrics
    cpu_percent: tuple[float, float] = (95.0, 101.0)  # of one core, of a worker
    release_skew_ms_max: tuple[float, float] = (500.0, 2000.0)  # the last first send after its time
    unreleased_ratio: tuple[float, float] = (0.001, 0.02)  # of the users: never released
    lost_samples_ratio: tuple[float, float] = (0.0, 0.01)  # of the samples: measured and lost
    exhausted_ratio: tuple[float, float] = (0.0, 0.01)  # of the samples: no port or file descriptor was left
    clock_uncertainty_ms: tuple[float, float] = (100.0, 500.0)  # between the clocks of the workers
    fds_ratio: tuple[float, float] = (0.8, 0.95)  # of the file descriptors: in use
    ports_ratio: tuple[float, float] = (0.8, 0.95)  # of the source ports: in use


class Scenario(_Section, frozen=True):
    """One rehearsal, whole. Times in s on the release clock (T0 = 0)."""

    name: Name  # names the run and its folder
    description: str  # what it rehearses, in a sentence
    duration_s: Positive  # from T0 to the end of the sale
    seed: Seed = 1  # of everything that is drawn
    settle_timeout_s: Positive = 30.0  # after the run, for the platform to come to rest
    minimum_grade: Literal["A", "B", "C", "D", "F"] = "C"  # below it the verdict is NOT READY
    on_sale: OnSale = OnSale()  # how the reference system is set up
    platform: OwnPlatform | None = None  # null: the reference booking system, raised by us
    load: Load = Load()  # who comes
    journeys: Journeys = Journeys()  # the classes of the users
    audit: Literal["required", "none"] = "required"  # none: with a locustfile, whose users no audit can see
    faults: tuple[PlannedFault, ...] = ()  # what breaks, and when
    objectives: dict[str, Objective] = {}  # indicator → its objective
    openslo: str = ""  # a file of SLOs in OpenSLO v1, whose objectives come beside these; "": none
    slos: tuple[Slo, ...] = ()  # what that file says, with an error budget each; it is filled in when the file is read
    generator: GeneratorLimits = GeneratorLimits()  # when the load generator is in doubt
    invariants: tuple[str, ...] = ()  # required ones; empty: all that the platform can show
    allow_hosts: tuple[str, ...] = ()  # beyond this machine, to be confirmed with --allow-host

    @property
    def codes_shown(self) -> str:
        """The file of the access codes that fans and bots come with, "" where nobody needs one."""
        return self.load.codes or self.on_sale.codes

    @property
    def objectives_judged(self) -> dict[str, Objective]:
        """The objectives as they are judged: without faults, none is required to which only faults give samples."""
        return {
            name: replace(one, required=one.required and (bool(self.faults) or not INDICATORS[name].of_faults))
            for name, one in self.objectives.items()
        }


class Override(msgspec.Struct, frozen=True):
    """A value from the command line that replaces one of the file. `option` is what the user typed, for errors."""

    key: str  # dotted: load.fans, faults.0.start_s
    value: object
    option: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """One `--set key=value`. Raises InputError."""
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise InputError(f"--set {text!r} is not key=value", hint="e.g. --set load.fans=200")
        try:
            return cls(key, value_of(value), f"--set {text}")
        except InputError as error:
            shown = value if len(value) <= _SHOWN_MAX else f"{value[:_SHOWN_MAX]}…"
            raise InputError(
                f"{shown!r} is not a value: {error.message}", key=f"--set {key}", hint="e.g. --set load.fans=200"
            ) from error


class ScenarioFile:
    """A scenario together with the file it came from, so that later findings can still name its line."""

    def __init__(self, path: Path, overrides: Sequence[Override] = ()) -> None:
        """Raises InputError: unreadable, unknown key, wrong type, impossible value."""
        self._file = YamlFile(path)
        self._overrides = tuple(overrides)
        self._has_platform = isinstance(self._file.data, dict) and "platform" in self._file.data
        self._file.data = _without_spectators(_overridden(self._file.data, overrides))
        try:
            self.scenario: Scenario = self._file.decode(Scenario)
        except InputError as error:
            raise self._blame(error) from None
        self._check()
        self.scenario = self._with_slos(self._with_codes(self.scenario))

    @property
    def folder(self) -> Path:
        """What paths in it are relative to: its folder.

        It is the working directory for one that comes with gatecrash and is given a platform by options.
        """
        parent = self._file.path.resolve().parent
        return Path.cwd() if parent == FOLDER and not self._has_platform else parent

    def error(self, message: str, *keys: str | int, hint: str = "") -> InputError:
        """An error at this place of the file, or at the option that put the value there."""
        return self._blame(self._file.error(message, *keys, hint=hint))

    def _blame(self, error: InputError) -> InputError:
        """The error with the option in place of file and line, when an option set that value."""
        dotted = re.sub(r"\[(\d+)\]", r".\1", error.key or "")
        for override in self._overrides:
            if dotted == override.key or dotted.startswith(f"{override.key}."):
                return InputError(error.message, hint=error.hint, key=override.option)
        return error

    def _check(self) -> None:
        scenario = self.scenario
        if scenario.load.users == 0:
            raise self.error("nobody comes: expected at least one fan or spectator", "load", hint="set load.fans")
        if scenario.load.bots and sum(scenario.load.tactics.values()) <= 0:
            raise self.error("expected at least one tactic with a weight above 0", "load", "tactics")
        if scenario.platform is not None:
            own_checks.check(
                scenario.platform,
                self.folder,
                scenario.load.visitors,
                scenario.faults,
                self._file.data,
                self.error,
                needs_adapter=not scenario.journeys.locustfile,
            )
        self._check_journeys(scenario)
        self._check_party_sizes(scenario)
        self._check_arrivals(scenario)
        self._check_source_addresses(scenario.load)
        self._check_opening(scenario)
        self._check_accessible(scenario)
        for at, fault in enumerate(scenario.faults):
            end_s = fault.start_s + (fault.length_s or 0.0)
            if end_s > scenario.duration_s:
                raise self.error(
                    f"the fault ends at {end_s:g} s, after the run does at {scenario.duration_s:g} s",
                    "faults", at, "start_s", hint="start it earlier, shorten it, or raise duration_s",
                )  # fmt: skip
        self._check_objectives(scenario)
        self._check_invariants(scenario)
        self._check_limits(scenario.generator)

    def _check_journeys(self, scenario: Scenario) -> None:
        journeys = scenario.journeys
        for kind, reference in journeys.classes.items():
            if reference == SHIPPED_JOURNEYS[kind]:
                continue
            file, _, name = reference.rpartition(":")
            if not file.endswith(".py") or not name.isidentifier():
                hint = "e.g. my_fan.py:MyFan"
                raise self.error(f"{reference!r} is not FILE:CLASS", "journeys", kind, hint=hint)
            self._require_file(file, kind)
            if journeys.locustfile:
                hint = "leave one of the two out"
                raise self.error("the users of the locustfile come instead", "journeys", kind, hint=hint)
        if journeys.locustfile:
            if not journeys.locustfile.endswith(".py"):
                raise self.error(f"{journeys.locustfile} is no Python file", "journeys", "locustfile")
            self._require_file(journeys.locustfile, "locustfile")
        elif scenario.audit == "none":
            hint = "an audit is left out only with journeys.locustfile; leave this out"
            raise self.error("the users of this scenario can be audited", "audit", hint=hint)

    def _require_file(self, file: str, kind: str) -> None:
        if not is_file(self.folder / file):
            hint = f"its path is relative to {self.folder}"
            raise self.error(f"there is no file {file}", "journeys", kind, hint=hint)

    def _check_source_addresses(self, load: Load) -> None:
        seen: set[str] = set()
        for at, address in enumerate(load.source_addresses):
            place = ("load", "source_addresses", at)
            if address_of(address) is None:
                raise self.error(f"{address!r} is no IP address", *place, hint="e.g. 10.0.0.11")
            if address in seen:
                raise self.error(f"{address} comes twice", *place, hint="leave one of the two out")
            seen.add(address)

    def _check_arrivals(self, scenario: Scenario) -> None:
        arrivals, place = scenario.load.arrivals, ("load", "arrivals")
        late = f"after the run ends at {scenario.duration_s:g} s"
        if not arrivals.waves_s:
            raise self.error("expected at least one instant in s after T0", *place, "waves_s", hint="e.g. [0, 20]")
        for at, wave_s in enumerate(arrivals.waves_s):
            if wave_s >= scenario.duration_s:
                raise self.error(f"a wave at {wave_s:g} s is {late}", *place, "waves_s", at, hint="raise duration_s")
        if arrivals.surge_ratio and arrivals.surge_at_s + arrivals.surge_s > scenario.duration_s:
            raise self.error(f"the last of the surge come {late}", *place, "surge_at_s", hint="raise duration_s")
        if arrivals.shape == "ramp" and arrivals.ramp_s > scenario.duration_s:
            raise self.error(f"the ramp ends {late}", *place, "ramp_s", hint="shorten it, or raise duration_s")

    def _with_codes(self, scenario: Scenario) -> Scenario:
        """With the paths of the files of access codes made whole; what is wrong in them is said here."""
        sale, load = scenario.on_sale, scenario.load
        if not sale.codes:
            asking: list[tuple[str, ...]] = [
                ("tactics", one) for one in _OF_CODES if load.bots and load.tactics.get(one)
            ]
            asking += [("journey", "shared_code_ratio")] if load.journey.shared_code_ratio else []
            asking += [("codes",)] if load.codes else []
            if asking:
                raise self.error("nobody needs an access code", "load", *asking[0], hint="set on_sale.codes")
            return scenario
        good, shown = self._beside(sale.codes), self._beside(load.codes) if load.codes else ""
        check_codes(good, shown, load.fans + load.bots, self.error)
        return replace(scenario, on_sale=replace(sale, codes=good), load=replace(load, codes=shown))

    def _with_slos(self, scenario: Scenario) -> Scenario:
        """With what the file of SLOs says. Of several on one indicator the strictest decides, or what is said here."""
        path, slos = "", scenario.slos
        if scenario.openslo:
            path = self._beside(scenario.openslo)
            if not is_file(Path(path)):
                hint = f"its path is relative to {self.folder}"
                raise self.error(f"there is no file {scenario.openslo}", "openslo", hint=hint)
            slos = read_slos(Path(path))
        same = sorted((slo.indicator for slo in slos if slo.indicator), reverse=True)  # less is better in all of them
        said = {name: Objective(target=target, worst=worst) for name, target, worst in same}
        return replace(scenario, openslo=path, slos=slos, objectives={**said, **scenario.objectives})

    def _beside(self, name: str) -> str:
        """The whole path of a file that is named here: beside this one, else as the paths of options are."""
        beside = self._file.path.resolve().parent / name
        return str(beside if is_file(beside) else self.folder / name)

    def _check_opening(self, scenario: Scenario) -> None:
        sale = scenario.on_sale
        if scenario.platform is None and sale.hold_ttl_s >= scenario.duration_s:
            raise self.error(
                f"a hold lasts {sale.hold_ttl_s:g} s, and the run ends after {scenario.duration_s:g} s",
                "on_sale", "hold_ttl_s", hint="no hold would end while it goes on: shorten it, or raise duration_s",
            )  # fmt: skip
        if sale.queue_policy == "shuffle" and not sale.pre_queue_s:
            hint = "set on_sale.pre_queue_s: lots are drawn among the fans who gather before the opening"
            raise self.error("a shuffle without a pre-queue shuffles nobody", "on_sale", "queue_policy", hint=hint)
        if sale.pre_queue_s >= scenario.duration_s:
            late = f"the sale opens at {sale.pre_queue_s:g} s, after the run ends at {scenario.duration_s:g} s"
            raise self.error(late, "on_sale", "pre_queue_s", hint="raise duration_s")
        if sale.pre_queue_s and sale.opens_after_s <= sale.pre_queue_s:
            raise self.error(
                f"T0 would be {sale.pre_queue_s:g} s before the opening, when nothing is up yet",
                "on_sale", "opens_after_s", hint="raise it: starting and arming take 10 to 30 s",
            )  # fmt: skip

    def _check_accessible(self, scenario: Scenario) -> None:
        if scenario.platform is not None or scenario.on_sale.accessible_pairs:
            return
        for name in ("accessible_ratio", "accessible_misuse_ratio"):
            if getattr(scenario.load.journey, name):
                hint = "set on_sale.accessible_pairs"
                raise self.error("the venue has no accessible seats", "load", "journey", name, hint=hint)

    def _check_party_sizes(self, scenario: Scenario) -> None:
        sizes = scenario.load.journey.party_sizes
        rules = scenario.on_sale if scenario.platform is None else scenario.platform.rules
        limit = rules.tickets_at_once if isinstance(rules, Rules) else rules.purchase_limit
        name = "purchase_limit" if limit == rules.purchase_limit else "order_limit"
        place = ("load", "journey", "party_sizes")
        if not sizes or sum(sizes.values()) <= 0:
            raise self.error("expected at least one party size with a weight above 0", *place)
        for size in sizes:
            if not 1 <= size <= (limit or PARTY_MAX):
                most = f"{name} ({limit})" if limit else str(PARTY_MAX)
                raise self.error(f"a party of {size} is outside 1 to {most}", *place, str(size))

    def _check_objectives(self, scenario: Scenario) -> None:
        for name, objective in scenario.objectives.items():
            if name not in INDICATORS:
                raise self.error("unknown indicator", "objectives", name, hint=suggest(name, list(INDICATORS)))
            better = INDICATORS[name].better
            if objective.target == objective.worst or (objective.target < objective.worst) != (better == "lower"):
                order = "below" if better == "lower" else "above"
                raise self.error(
                    f"target must be {order} worst: {better} is better for this indicator",
                    "objectives", name, "target", hint="swap them?",
                )  # fmt: skip

    def _check_invariants(self, scenario: Scenario) -> None:
        for at, name in enumerate(scenario.invariants):
            if name not in INVARIANTS:
                raise self.error(f"unknown invariant {name!r}", "invariants", at, hint=suggest(name, list(INVARIANTS)))

    def _check_limits(self, limits: GeneratorLimits) -> None:
        for name in limits.__struct_fields__:
            degraded, invalid = getattr(limits, name)
            if not 0 <= degraded <= invalid:
                raise self.error("expected [degraded, invalid] with 0 ≤ degraded ≤ invalid", "generator", name)


def names() -> list[str]:
    """The scenarios that come with gatecrash."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name_or_path: str) -> Path:
    """The file of a scenario given by name or as a file. Raises InputError when there is none."""
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or is_file(path):
        if is_file(path):
            return path
        if os.path.lexists(path):
            return path  # reading it says what it is
        raise InputError("no such file", file=name_or_path, hint="give a scenario file, or a name from `scenario list`")
    shipped = FOLDER / f"{name_or_path}.yaml"
    if not is_file(shipped):
        raise InputError(f"unknown scenario {name_or_path!r}", hint=suggest(name_or_path, names()))
    here = Path.cwd()
    return shipped.relative_to(here) if shipped.is_relative_to(here) else shipped


def load(name_or_path: str, overrides: Sequence[Override] = ()) -> ScenarioFile:
    """A scenario by name or file, with overrides applied. Raises InputError."""
    return ScenarioFile(find(name_or_path), overrides)


def _overridden(data: object, overrides: Sequence[Override]) -> object:
    changed = copy.deepcopy(data)
    for override in overrides:
        _put(changed, override)
    return changed


def _without_spectators(data: object) -> object:
    """On a platform of the user's own nobody follows a feed unless the file says so: few platforms have one."""
    if isinstance(data, dict) and data.get("platform"):
        load = data.setdefault("load", {})
        if isinstance(load, dict):
            load.setdefault("spectators", 0)
    return data


def _put(data: object, override: Override) -> None:
    *way, last = override.key.split(".")
    node = data
    for at, key in enumerate(way, 1):
        if isinstance(node, dict):
            default, _ = mapping_at(Scenario, data, tuple(way[:at]))
            node = node.setdefault(key, default)
        else:
            node = _item(node, key, override)
    if isinstance(node, dict):
        _, numbered = mapping_at(Scenario, data, tuple(way))
        node[int(last) if numbered and last.isdecimal() else last] = override.value
    elif isinstance(node, list):
        _item(node, last, override)
        node[int(last)] = override.value
    else:
        raise InputError(f"there is nothing below {'.'.join(way)}", key=override.option, hint="see `scenario show`")


def _item(node: object, key: str, override: Override) -> object:
    if isinstance(node, list) and key.isdigit() and int(key) < len(node):
        return node[int(key)]
    raise InputError(f"there is no item {key!r}", key=override.option, hint="see `gatecrash scenario show`")
