"""`adapter check`: every verb of an adapter, by one fan and then by two at once, without load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli.app import adapter_app, print_json, say, tell
from harness.cli.options import AllowHost, AsJson, Changes
from harness.errors import ExitCode, InputError

if TYPE_CHECKING:
    from harness.adapter.checking.report import TrialReport, TriedVerb

_REQUESTS_SHOWN: Final = 6

_Adapter = Annotated[str, typer.Argument(metavar="FILE:CLASS", help="The adapter's file and class.")]
_Url = Annotated[str, typer.Option("--stack", metavar="URL", help="Where the platform runs.")]
_Scenario = Annotated[
    str,
    typer.Option("--scenario", metavar="FILE", help="Whose platform section has settings, secrets, rules and people."),
]


@adapter_app.command("check")
def adapter_check(
    adapter: _Adapter,
    stack: _Url = "",
    scenario: _Scenario = "",
    changes: Changes = None,
    allow_host: AllowHost = None,
    *,
    json: AsJson = False,
) -> None:
    """Try an adapter on its platform: one fan, then two at once, no load, under a minute. It buys a few tickets.

    \b
    gatecrash adapter check my_shop.py:MyShop --stack http://127.0.0.1:8000
    gatecrash adapter check my_shop.py:MyShop --stack http://127.0.0.1:8000 --scenario my-onsale.yaml
    """
    report = checked(adapter, stack, scenario, changes or [], allow_host or [])
    if json:
        print_json(report)
    else:
        print_report(report)
    if report.problems:
        raise typer.Exit(ExitCode.BAD_INPUT)


def checked(adapter: str, stack: str, scenario: str, changes: Sequence[str], allow_host: Sequence[str]) -> TrialReport:
    """The result of trying an adapter. Raises InputError when it could not be tried."""
    from harness import scenario as scenarios
    from harness.rehearsal.adapter import check
    from harness.scenario import Override
    from harness.scenario.own_options import own_overrides
    from harness.stack import Addresses
    from harness.stack.allowed import own_hosts, require_allowed
    from harness.stack.own import absolute, require_variables

    name = scenario or "smoke"
    overrides = own_overrides(name, adapter, stack) + [Override.parse(change) for change in changes]
    source = scenarios.load(name, overrides)
    own = source.scenario.platform
    if own is None or not own.url:
        raise InputError("nobody knows where the platform runs", key="--stack", hint="give its URL")
    require_allowed(own_hosts(own), source.scenario.allow_hosts, allow_host)
    require_variables(own, source.error)
    own = absolute(own, source.folder)
    with TemporaryDirectory(prefix="gatecrash-check-") as folder:
        addresses = Addresses(booking=own.url, feeds=(), event="", own=own)
        declines = source.scenario.load.journey.declined_card_ratio > 0
        return check(addresses, own, Path(folder) / "check.json", declines=declines)


def print_report(report: TrialReport) -> None:
    """Print a report for people."""
    tell(f"capabilities: {', '.join(report.capabilities) or 'none'}")
    for verb in report.verbs:
        tell(_line(verb))
    for note in report.notes:
        tell(f"not tried: {note}")
    for problem in report.problems:
        say(": ".join(part for part in (problem.where, problem.verb, problem.what) if part))
        if problem.last:
            say(f"    the last answer: {problem.last}")
    found = len(report.problems)
    tried = f"{len(report.verbs)} verbs in {report.seconds:g} s"
    say(f"{tried}: " + (f"{found} problem{'s' if found > 1 else ''}" if found else "nothing is wrong"))


def _line(verb: TriedVerb) -> str:
    """One verb with its requests: page, status, time."""
    shown = [f"{one.page} {one.status or one.error} {one.ms:g} ms" for one in verb.requests[-_REQUESTS_SHOWN:]]
    left_out = len(verb.requests) - len(shown)
    more = [f"… {left_out} before"] if left_out else []
    how = f"{verb.outcome} {verb.error}".strip()
    return f"{verb.verb:14} {verb.fan:18} {how:18} {verb.ms:8.1f} ms   {' · '.join(more + shown)}"
