"""What `python -m harness.adapter` reads and prints, for both ends: nothing here loads gevent."""

from __future__ import annotations

import msgspec

from harness.stack import Addresses


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong. `where`: file:line or "". `verb`: "" where it is none's.

    `last`: the last answer that the fan got.
    """

    what: str
    where: str = ""
    verb: str = ""
    last: str = ""

    def line(self) -> str:
        """All of it but the answer, for people."""
        return ": ".join(part for part in (self.where, self.verb, self.what) if part)


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What `describe` prints. `uses_kit`: it is a `ShopPlatform`; of another only an instance may know what it can.

    `hints`: what may be meant otherwise.
    """

    adapter: str = ""
    uses_kit: bool
    capabilities: tuple[str, ...]
    has_bots: bool = False  # it makes sessions of bots in a way of its own
    problems: tuple[Problem, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def knows_capabilities(self) -> bool:
        """Whether `capabilities` are all of them."""
        return self.uses_kit or bool(self.capabilities)


class TriedRequest(msgspec.Struct, frozen=True):
    """One request of a verb."""

    page: str
    status: int
    ms: float
    error: str = ""


class TriedVerb(msgspec.Struct, frozen=True):
    """One verb as it went: `outcome` is ok, fail, unknown or fault; `detail`: why it did not succeed."""

    verb: str
    fan: str
    outcome: str
    ms: float
    requests: tuple[TriedRequest, ...]
    error: str = ""
    detail: str = ""
    where: str = ""


class TrialSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a trial or a check is to try. `adapter`: FILE:CLASS. `quantity`: tickets of the purchase.

    `people_from`: rows of the people file before this one belong to the fans of the run. `declines`: some of them pay
    with a card that is declined.
    """

    adapter: str
    addresses: Addresses
    quantity: int = 1
    people_from: int = 0
    declines: bool = True


class TrialReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `ok`: nothing is wrong. `notes`: what was not tried, and why.

    `purchase_acts`: how many requests of a purchase change something; 0: not known.
    """

    ok: bool
    capabilities: tuple[str, ...]
    problems: tuple[Problem, ...]
    verbs: tuple[TriedVerb, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    purchase_acts: int = 0
