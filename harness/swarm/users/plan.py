"""Every choice a user will make, drawn from the seed before anything starts. Pure.

A plan depends on the seed and on the user's index alone, never on which worker runs it or on what the platform does. So
the same seed gives the same journeys, and the digest over all plans shows it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random
from typing import Final

import msgspec

from harness.record.schema import BOT_ACTOR, LOCUST_KIND, PROBE_ACTOR
from harness.scenario import Journey, Load, Tactic

_THINKS: Final = 16
_GIVES_WAY_AFTER: Final = 20  # plans: a few ms
_ROLLS: Final = 32
_RESELLERS: Final = 3  # identities that all over-limit bots buy for
_RELOADS_MAX: Final = 3
_TABS_MAX: Final = 3
_IMPATIENT_RELOADS: Final = 12
_HOUSEHOLD: Final = "household-"
_FARM: Final = "farm"  # the device of all that share one


class Reload(msgspec.Struct, frozen=True, gc=False):
    """The queue page is loaded again after so long; `forgets`: the browser has lost the ticket by then."""

    after_s: float
    forgets: bool


class FanPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One fan's choices. `rolls` are uniform in [0, 1), used in turn wherever chance plays a part on the way.

    `repeats_payment`: the payment is posted a second time under the same idempotency key.
    `drops_stream`: once told of their position, the fan leaves the stream and comes back with the ticket.
    `sits_apart`: where no adjacent seats are free for the whole party, the fan takes seats that are apart.
    `takes_fewer`: where no seats are free for the whole party, the fan takes as many as there are.
    `needs_accessible`: declares the need of an accessible seat, and chooses a wheelchair place with companion seats.
    `misuses_accessible`: declares no need, and tries to get such seats before others.
    `looks_again_s`: when nothing is left, the fan looks again so often for what comes back; null: leaves at once.
    `page_reloads`: how the fan loads the queue page again while they wait, one after another. `tabs`: so many more
    follow the queue too.
    `wants_one_more`: one ticket more than the other of a pair may have, see `goes_over_limit`.
    `code_no`: which of the access codes of the sale they come with, where it asks for one; null: an invented one.
    """

    actor: str
    identity: str
    party_size: int
    aims_hot: bool
    abandons: bool
    releases: bool
    card_declined: bool
    drops_stream: bool = False
    patience_s: float
    thinks_s: tuple[float, ...]
    rolls: tuple[float, ...]
    repeats_payment: bool = False
    takes_fewer: bool = False
    sits_apart: bool = False
    needs_accessible: bool = False
    misuses_accessible: bool = False
    join_pause_s: float = 0.0
    looks_again_s: float | None = None
    code_no: int | None = None
    page_reloads: tuple[Reload, ...] = ()
    tabs: int = 0
    wants_one_more: bool = False

    @property
    def goes_over_limit(self) -> bool:
        """One of a pair who together want more than one identity may have."""
        return self.identity.startswith(_HOUSEHOLD)

    def stands(self, standing_ratio: float) -> bool:
        """Where there are seats and pools: this fan wants tickets without a seat. From the last roll, used first
        for nothing else."""
        return self.rolls[-1] < standing_ratio


class BotPlan(FanPlan, frozen=True, kw_only=True):
    """One bot's choices: a fan who never hesitates, never leaves, and takes as much as it can get."""

    device: str
    tactic: Tactic


class LurkerPlan(FanPlan, frozen=True, kw_only=True):
    """One lurker's choices: `reloads` is how often they load the queue page again before they leave."""

    reloads: int


class SpectatorPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One spectator's choices."""

    actor: str
    identity: str
    rolls: tuple[float, ...]


class ProbePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe does. `phase_ratio`: its place in the period that all probes share.

    `refused_holds_s`: see `harness.swarm.messaging.protocol.SwarmSpec`. `pays_late`: once, for a hold that is over.
    `gives_back`: holds so many seats, the purchase limit, gives them back and asks for as many again; 0: not.
    `comes_anew`: to the feed of seats, all the time. `meddles`: tries to release and to buy what another holds,
    and to hold a seat without a pass.
    """

    number: int
    actor: str
    phase_ratio: float
    refused_holds_s: tuple[tuple[float, float], ...]
    rolls: tuple[float, ...]
    pays_late: bool = False
    gives_back: int = 0
    comes_anew: bool = False
    meddles: bool = False


def fan_plan(journey: Journey, seed: int, index: int) -> FanPlan:
    """The plan of fan number `index`.

    Pairs who share an identity and fans who pay twice are spread evenly, so that even a small crowd has some.
    """
    plan = _ordinary(journey, seed, index)
    if (pair := _pair(journey.over_limit_ratio, index)) is not None:
        return msgspec.structs.replace(
            plan,
            identity=f"{_HOUSEHOLD}{pair:06d}",
            party_size=_largest_party(journey),
            abandons=False,
            releases=False,
            card_declined=False,
            needs_accessible=False,
            misuses_accessible=False,
            wants_one_more=_is_second(journey.over_limit_ratio, index),
        )
    if _repeats(journey.repeat_payment_ratio, index):
        return msgspec.structs.replace(plan, repeats_payment=True, abandons=False, releases=False)
    return plan


def _ordinary(journey: Journey, seed: int, index: int) -> FanPlan:
    random = Random(f"fan:{seed}:{index}")
    leaving = random.random()
    return FanPlan(
        actor=f"fan-{index:06d}",
        identity=f"person-{_partner(journey.second_device_ratio, index):06d}",
        party_size=random.choices(list(journey.party_sizes), list(journey.party_sizes.values()))[0],
        aims_hot=random.random() < journey.hot_section_ratio,
        abandons=leaving < journey.abandon_hold_ratio,
        releases=journey.abandon_hold_ratio <= leaving < journey.abandon_hold_ratio + journey.release_hold_ratio,
        card_declined=random.random() < journey.declined_card_ratio,
        drops_stream=_chance(f"drops:{seed}:{index}", journey.dropped_stream_ratio),
        takes_fewer=_chance(f"fewer:{seed}:{index}", journey.takes_fewer_ratio),
        sits_apart=_chance(f"apart:{seed}:{index}", journey.apart_ratio),
        needs_accessible=(needs := _chance(f"accessible:{seed}:{index}", journey.accessible_ratio)),
        misuses_accessible=not needs and _chance(f"misuses:{seed}:{index}", journey.accessible_misuse_ratio),
        looks_again_s=_looks_again_s(f"returns:{seed}:{index}", journey),
        patience_s=_patience_s(f"fan:{seed}:{index}", journey),
        join_pause_s=_join_pause_s(f"join:{seed}:{index}", journey),
        code_no=_partner(journey.shared_code_ratio, index),
        page_reloads=_reloads(f"reloads:{seed}:{index}", journey, index),
        tabs=_tabs(f"tabs:{seed}:{index}", journey.tabs_ratio),
        thinks_s=tuple(_think_s(random, journey) for _ in range(_THINKS)),
        rolls=_rolls(random),
    )


def bot_plan(load: Load, seed: int, index: int) -> BotPlan:
    """The plan of bot number `index`."""
    random = Random(f"bot:{seed}:{index}")
    actor = f"{BOT_ACTOR}{index:06d}"
    tactic = random.choices(list(load.tactics), list(load.tactics.values()))[0]
    over_limit = tactic is Tactic.OVER_LIMIT
    return BotPlan(
        actor=actor,
        identity=f"reseller-{random.randrange(_RESELLERS)}" if over_limit else f"person-{actor}",
        device=_FARM if tactic is Tactic.SHARE_DEVICE else actor,
        tactic=tactic,
        code_no=_code_no_of_bot(tactic, load.fans, index),
        party_size=_largest_party(load.journey),
        aims_hot=True,
        abandons=False,
        releases=False,
        card_declined=False,
        misuses_accessible=_chance(f"misuses:bot:{seed}:{index}", load.journey.accessible_misuse_ratio),
        patience_s=load.journey.patience_s,
        thinks_s=(0.0,),
        rolls=_rolls(random),
    )


def lurker_plan(journey: Journey, seed: int, index: int) -> LurkerPlan:
    """The plan of lurker number `index`."""
    random = Random(f"lurker:{seed}:{index}")
    actor = f"lurker-{index:06d}"
    return LurkerPlan(
        actor=actor,
        identity=f"person-{actor}",
        reloads=random.randint(0, _RELOADS_MAX),
        party_size=0,
        aims_hot=False,
        abandons=False,
        releases=False,
        card_declined=False,
        patience_s=_patience_s(f"lurker:{seed}:{index}", journey),
        thinks_s=tuple(_think_s(random, journey) for _ in range(_RELOADS_MAX)),
        rolls=_rolls(random),
    )


def spectator_plan(seed: int, index: int) -> SpectatorPlan:
    """The plan of spectator number `index`."""
    random = Random(f"spectator:{seed}:{index}")
    return SpectatorPlan(actor=f"spectator-{index:06d}", identity=f"watcher-{index:06d}", rolls=_rolls(random))


def whole_feeds(seed: int, load: Load) -> frozenset[int] | None:
    """The spectators who are recorded event by event; null: all are."""
    if load.whole_feeds == load.spectators:
        return None
    return frozenset(Random(f"whole feeds:{seed}").sample(range(load.spectators), load.whole_feeds))


def whole_users(seed: int, load: Load) -> dict[str, frozenset[int]] | None:
    """Kind → the users of it whose requests are recorded one by one; null: those of all users are."""
    if load.users <= load.whole_users_max:
        return None
    counts = {"fan": load.fans, "bot": load.bots, "lurker": load.lurkers, "spectator": load.spectators}
    chosen = {
        kind: frozenset(
            Random(f"whole {kind}s:{seed}").sample(range(count), -(-count * load.whole_users_max // load.users))
        )
        for kind, count in counts.items()
    }
    return chosen | {LOCUST_KIND: chosen["fan"]}


def probe_plan(
    seed: int,
    number: int,
    probes: int,
    refused_holds_s: tuple[tuple[float, float], ...],
    *,
    pays_late: bool = False,
    gives_back: int = 0,
    comes_anew: bool = False,
    meddles: bool = False,
) -> ProbePlan:
    """The plan of probe number `number` (1, 2 …) of so many. The last four are for the first of them."""
    return ProbePlan(
        number=number,
        actor=f"{PROBE_ACTOR}{number}",
        phase_ratio=(number - 0.5) / probes,
        refused_holds_s=refused_holds_s,
        rolls=_rolls(Random(f"probe:{seed}:{number}")),
        pays_late=pays_late and number == 1,
        gives_back=gives_back if number == 1 else 0,
        comes_anew=comes_anew and number == 1,
        meddles=meddles and number == 1,
    )


def all_plans(load: Load, seed: int) -> Iterable[FanPlan | SpectatorPlan]:
    """Everybody's, in order."""
    yield from (fan_plan(load.journey, seed, index) for index in range(load.fans))
    yield from (bot_plan(load, seed, index) for index in range(load.bots))
    yield from (lurker_plan(load.journey, seed, index) for index in range(load.lurkers))
    yield from (spectator_plan(seed, index) for index in range(load.spectators))


def digest(plans: Iterable[FanPlan | SpectatorPlan], give_way: Callable[[], None] = lambda: None) -> str:
    """sha256 over the plans, one JSON document per line. `give_way`: called now and then, as it takes a while."""
    hashed = hashlib.sha256()
    encode = msgspec.json.Encoder().encode
    for number, plan in enumerate(plans):
        hashed.update(encode(plan) + b"\n")
        if number % _GIVES_WAY_AFTER == 0:
            give_way()
    return hashed.hexdigest()


class Dice:
    """Hands out a plan's rolls in turn, from the first again when they are used up."""

    def __init__(self, rolls: tuple[float, ...]) -> None:
        self._rolls = rolls
        self._next = 0

    def roll(self) -> float:
        """Uniform in [0, 1)."""
        roll = self._rolls[self._next % len(self._rolls)]
        self._next += 1
        return roll


def _pair(ratio: float, index: int) -> int | None:
    """The number of the pair that the fan belongs to, null for none: two neighbours out of every 2 / `ratio` fans."""
    if ratio <= 0:
        return None
    number, place = divmod(index, _period(ratio, 2))
    return number if place < 2 else None


def _is_second(ratio: float, index: int) -> bool:
    """Whether the fan is the second of their pair."""
    return index % _period(ratio, 2) == 1


def _partner(ratio: float, index: int) -> int:
    """Whose code, or whose person, the fan is: their own, but the second of a pair is that of the first.

    Such pairs are the last two out of every 2 / `ratio` fans.
    """
    if ratio <= 0:
        return index
    period = _period(ratio, 2)
    return index - 1 if index % period == period - 1 else index


def _period(ratio: float, size: int) -> int:
    """Among so many fans there is one group of that size, so that the groups are that share of all."""
    return max(size, round(size / ratio))


def _reloads(dice: str, journey: Journey, index: int) -> tuple[Reload, ...]:
    """Who loads the page again, and when without the ticket, is spread evenly: even a small crowd has some of each."""
    number = _so_many(journey.reload_ratio, index)  # of those before this one
    if number == _so_many(journey.reload_ratio, index + 1):
        return ()
    random = Random(dice)
    lost = [_so_many(journey.lost_ticket_ratio, number + time) for time in range(_IMPATIENT_RELOADS + 1)]
    return tuple(
        Reload(_log_normal_s(random, journey.reload_after_s, journey.think_sigma), before < after)
        for before, after in pairwise(lost)
    )


def _so_many(ratio: float, of: int) -> int:
    """How many of the first ones are of such a share, spread evenly."""
    return math.floor(of * ratio + 0.5)


def _tabs(dice: str, ratio: float) -> int:
    random = _chosen(dice, ratio)
    return 0 if random is None else random.randint(1, _TABS_MAX)


def _code_no_of_bot(tactic: Tactic, fans: int, index: int) -> int | None:
    if tactic is Tactic.GUESS_CODE:
        return None
    return index % fans if tactic is Tactic.SHARE_CODE and fans else fans + index


def _repeats(ratio: float, index: int) -> bool:
    """One out of every 1 / `ratio` fans, from the fourth on."""
    return ratio > 0 and index % (period := _period(ratio, 1)) == 3 % period


def _largest_party(journey: Journey) -> int:
    return max(size for size, weight in journey.party_sizes.items() if weight)


def _think_s(random: Random, journey: Journey) -> float:
    return _log_normal_s(random, journey.think_s, journey.think_sigma)


def _log_normal_s(random: Random, median_s: float, sigma: float) -> float:
    """Log-normal around the median; people's pauses are (rounded: what no clock can keep does not belong here)."""
    return round(random.lognormvariate(math.log(median_s), sigma), 4) if median_s > 0 else 0.0


def _patience_s(who: str, journey: Journey) -> float:
    """Log-normal around the median, from dice of its own: whoever is more patient chooses no other seats."""
    if not journey.patience_sigma:
        return journey.patience_s
    return _log_normal_s(Random(f"patience:{who}"), journey.patience_s, journey.patience_sigma)


def _join_pause_s(dice: str, journey: Journey) -> float:
    if journey.join_pause_s <= 0:
        return 0.0
    return _log_normal_s(Random(dice), journey.join_pause_s, journey.think_sigma)


def _chance(dice: str, ratio: float) -> bool:
    """Whether it comes to that share of the fans, from dice of its own."""
    return _chosen(dice, ratio) is not None


def _chosen(dice: str, ratio: float) -> Random | None:
    """The dice of a fan of that share, to be thrown on; null for others. Dice for what never comes are not made."""
    if ratio <= 0:
        return None
    random = Random(dice)
    return random if random.random() < ratio else None


def _looks_again_s(dice: str, journey: Journey) -> float | None:
    random = _chosen(dice, journey.returns_ratio)
    return None if random is None else _log_normal_s(random, journey.look_again_s, journey.think_sigma)


def _rolls(random: Random) -> tuple[float, ...]:
    return tuple(round(random.random(), 9) for _ in range(_ROLLS))
