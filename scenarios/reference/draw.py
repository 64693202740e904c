"""A look at what the reference booking system publishes of its draw of lots: an operation of the history."""

from __future__ import annotations

from time import monotonic
from typing import Final

from harness.platform import Call, Person
from harness.record.schema import Function, Outcome
from harness.swarm.client.http import HttpClient
from harness.swarm.recording.recorder import Recorder
from scenarios.reference import api

_ENTRIES_MAX: Final = 1_000_000
_WITHIN_S: Final = 30.0


def look_at_draw(client: HttpClient, recorder: Recorder, person: Person, base: str, call: Call) -> None:
    """The commitment and when the sale opens; once it is open the seed, and everybody who was in the draw.

    Where no lots are drawn the look fails.
    """
    operation = recorder.begin(person, Function.DRAW, call, value={})
    response = client.call(api.DRAW, f"{base}/draw", operation.call)
    answer = api.read(response, api.DrawAnswer)
    if answer is None:
        cut = response.outcome == Outcome.UNKNOWN
        operation.end(
            Outcome.UNKNOWN if cut else Outcome.FAIL, error=response.error or "status", t_end_s=response.t_end_s
        )
        return
    shown: dict[str, object] = {"commitment": answer.commitment, "opens_at": answer.opens_at, "seed": answer.seed}
    if answer.seed is not None:
        shown["entries"] = _entries(client, base, operation.call)
    operation.end(Outcome.OK, value=shown, t_end_s=response.t_end_s)


def _entries(client: HttpClient, base: str, call: Call) -> list[str]:
    """Page by page; as far as they can be read in a reasonable time."""
    entries: list[str] = []
    ends_s = monotonic() + _WITHIN_S
    while len(entries) < _ENTRIES_MAX and monotonic() < ends_s:
        response = client.call(api.DRAW, f"{base}/draw/entries?first={len(entries)}", call)
        page = api.read(response, api.EntriesAnswer)
        if page is None or not page.entries:
            break
        entries += [lot.entry for lot in page.entries]
        if len(entries) >= page.total:
            break
    return entries
