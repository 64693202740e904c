"""The probes of a run, in the worker that settles: greenlets beside its users, who are counted nowhere as users."""

from __future__ import annotations

import logging
from typing import Protocol

import gevent

from harness.swarm.messaging.protocol import SwarmSpec
from harness.swarm.users.loader import load_class
from harness.swarm.users.plan import probe_plan
from harness.swarm.users.user import WorkerContext


class Probe(Protocol):
    """Made with `(platform, barrier, plan)`. `step`: what it is doing, for the report of a crash."""

    step: str

    def go(self) -> None:
        """Connect, wait for the release, look on until killed."""


_log = logging.getLogger(__name__)


def start_probes(spec: SwarmSpec, worker_context: WorkerContext) -> list[gevent.Greenlet]:
    """All of the scenario's; none where the platform's adapter cannot give them a pass."""
    if not hasattr(worker_context.platform, "probe_session"):
        return []
    probe_class, probes = load_class(spec.journeys.probe), spec.scenario.load.probes
    ours = spec.scenario.platform is None  # ours sells nothing for a hold that is over: a probe buys nothing
    limit = spec.scenario.on_sale.purchase_limit if ours else 0
    plans = [
        probe_plan(
            spec.seed,
            number,
            probes,
            spec.refused_holds_s,
            pays_late=ours,
            gives_back=limit,
            comes_anew=ours,
            meddles=ours,
        )
        for number in range(1, probes + 1)
    ]
    return [
        gevent.spawn(_go, probe_class(worker_context.platform, worker_context.barrier, plan), worker_context)
        for plan in plans
    ]


def _go(probe: Probe, worker_context: WorkerContext) -> None:
    """One probe, to the end; its crash is told as that of a journey."""
    try:
        probe.go()
    except Exception as error:  # noqa: BLE001 - whatever it is
        worker_context.crashes.note(error, kind="probe", step=probe.step)
        _log.exception("a probe crashed")
