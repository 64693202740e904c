"""How much of what fans came for was seen to its end: journeys cut by the end of the run, purchases without an answer.

An end that nobody saw is neither good nor bad. Where most ends are missing, a verdict would rest on the few that came
first, which are the fast ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from harness.record.schema import CutSummary, LoadSummary
from harness.record.verdict import Reason
from harness.sli.measured import Observations

CUT_RATIO_MAX: Final = 0.5
"""Of the journeys, or of the purchases; where more are missing there is no verdict."""
CUT_RATIO_A: Final = 0.25
CUT_PURCHASES_RATIO_A: Final = 0.1
"""Above these the grade is at most B."""
_FAN: Final = "fan"
_IN_LINE: Final = "positions"
_STOPPED: Final = "stopped"


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of fans and of their purchases. A purchase is one idempotency key.

    `inside`: of the fans who were past the line, those whose journey the end of the run cut, by their step, most first.
    `in_line`: those who still waited in line then. `unanswered`: purchases of which no try was answered; `in_flight`:
    those of them whose last try the end of the run cut. `cut`: users whose journey was cut, of every kind;
    `cut_somewhere`: those of whom the record says at which step.
    """

    fans: int = 0
    in_line: int = 0
    inside: tuple[CutSummary, ...] = ()
    purchases: int = 0
    unanswered: int = 0
    in_flight: int = 0
    duration_s: float = 0.0
    cut: int = 0
    cut_somewhere: int = 0

    @property
    def cut_inside(self) -> int:
        """Fans past the line whose journey was cut."""
        return sum(one.count for one in self.inside)

    @property
    def where(self) -> str:
        """At which steps, in words; "" where the record does not say."""
        steps = [f"{one.count:,} at {one.step}" for one in self.inside if one.step]
        return f" ({', '.join(steps)})" if steps else ""

    @property
    def came(self) -> int:
        """Fans who were past the line."""
        return self.fans - self.in_line

    @property
    def _cut_text(self) -> str:
        return f"{self.cut_inside:,} of {self.came:,} journeys of fans were cut by the end of the run{self.where}"

    @property
    def _longer(self) -> str:
        return f"raise duration_s, which is {self.duration_s:g}, or send fewer users (load.fans)"

    def reasons(self) -> Iterator[Reason]:
        """Why there is no verdict."""
        if self.cut != self.cut_somewhere:
            text = f"The record says of {self.cut:,} journeys that the end of the run cut them, and where of"
            yield Reason(f"{text} {self.cut_somewhere:,}: what came of fans cannot be told.", "rehearse again")
        if self.cut_inside > CUT_RATIO_MAX * self.came:
            yield Reason(f"{self._cut_text}: what came of them was not seen.", self._longer)
        if self.unanswered > CUT_RATIO_MAX * self.purchases:
            text = f"{self.unanswered:,} of {self.purchases:,} purchases had no answer"
            answered = self.purchases - self.unanswered
            mend = self._longer if self.in_flight else "see why the platform did not answer, in the errors of pay"
            yield Reason(f"{text}: what is said of purchases rests on {answered:,}.", mend)

    def caps(self) -> Iterator[Reason]:
        """What keeps the grade from A."""
        if self.cut_inside > CUT_RATIO_A * self.came:
            yield Reason(self._cut_text, self._longer)
        if self.in_flight > CUT_PURCHASES_RATIO_A * self.purchases:
            text = f"{self.in_flight:,} of {self.purchases:,} purchases waited for their answer when the run ended"
            yield Reason(text, self._longer)
        if self.in_line > CUT_RATIO_MAX * self.fans:
            text = f"{self.in_line:,} of {self.fans:,} fans still waited in line when the run ended"
            yield Reason(text, self._longer)


def ends_of(load: LoadSummary, seen: Observations) -> Ends:
    """From what the swarm said of journeys, and from the fans' payments."""
    cut = _cut_fans(load, seen.fans)
    last: dict[tuple[str, str], str] = {}
    answered = set()
    for pay in seen.history.pays:
        purchase = (pay.actor, pay.key)
        last[purchase] = pay.error
        if not pay.unknown:
            answered.add(purchase)
    unanswered = last.keys() - answered
    return Ends(
        fans=seen.fans,
        in_line=sum(one.count for one in cut if one.step == _IN_LINE),
        inside=tuple(one for one in cut if one.step != _IN_LINE),
        purchases=len(last),
        unanswered=len(unanswered),
        in_flight=sum(last[purchase] == _STOPPED for purchase in unanswered),
        duration_s=seen.duration_s,
        cut=load.unfinished,
        cut_somewhere=sum(one.count for one in load.cut) if load.cut else load.unfinished,
    )


def _cut_fans(load: LoadSummary, fans: int) -> Sequence[CutSummary]:
    """Those of fans. A record that does not say at which step they were says how many there were in all."""
    if not load.cut and load.unfinished:
        return (CutSummary(_FAN, "", min(load.unfinished, fans)),)
    return [one for one in load.cut if one.kind == _FAN]
