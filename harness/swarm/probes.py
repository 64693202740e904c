"""The probes of a run, in the worker that settles: greenlets beside its users, who are counted nowhere as users."""

from __future__ import annotations

import logging

import gevent

from harness.swarm.loader import load_class
from harness.swarm.protocol import SwarmSpec
from harness.swarm.users import Crew

_log = logging.getLogger(__name__)


def start_probes(spec: SwarmSpec, crew: Crew) -> list[gevent.Greenlet]:
    """All of the scenario's; none where the platform's adapter cannot give them a pass."""
    if not hasattr(crew.platform, "probe_session"):
        return []
    probe_class = load_class(spec.journeys.probe)
    return [gevent.spawn(_go, probe_class, spec, crew, number) for number in range(1, spec.scenario.load.probes + 1)]


def _go(probe_class: type, spec: SwarmSpec, crew: Crew, number: int) -> None:
    """One probe, to the end; its crash is told as that of a journey."""
    probe = probe_class(crew, number, spec.refused_holds_s)
    try:
        probe.go()
    except Exception as error:  # noqa: BLE001 - whatever it is
        crew.crashes.note(error, kind="probe", step=probe.step)
        _log.exception("a probe crashed")
