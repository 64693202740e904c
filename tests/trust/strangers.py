"""Everything that a stranger can say to a swarm, said to one: how much was heard, and what it changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.errors import GatecrashError
from harness.swarm.joining.worker_machine import join
from harness.swarm.messaging.protocol import DEFAULT_PLATFORM, Waiting
from harness.swarm.messaging.run_key import RunKey
from tests.harness.swarm.joining.strange_masters import listening, master, welcome
from tests.harness.swarm.joining.test_lent import TRAP, asking_for
from tests.harness.swarm.joining.test_strangers_at_the_door import (
    NOTE,
    in_plain_text,
    over_zeromq,
    ports_of,
    to_the_end,
    with_the_masters_public_key_alone,
)
from tests.harness.swarm.joining.test_worker_machine import KEY, call, guest, shop, with_guests
from tests.harness.swarm.messaging.test_stranger import NOTE as MESSAGES
from tests.harness.swarm.messaging.test_stranger import everything
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import running, shop_spec


def measure(out: Path, jobs: int, times: int | None) -> dict[str, object]:
    """Attacks on each port of a swarm, and hostile masters for a worker."""
    out.mkdir(parents=True, exist_ok=True)
    answered, notes, whole = _at_the_ports(out / "run")
    obeyed, masters = _by_masters()
    ways = len(answered)
    found = {
        "attacks": ways,
        "messages_of_each": len(everything()),
        "answered_by_more_than_a_greeting": sum(answered.values()),
        "notes": notes,
        "record_as_without_strangers": whole,
        "hostile_masters": masters,
        "hostile_masters_obeyed": obeyed,
    }
    right = whole and not obeyed and not any(answered.values()) and len(notes) == 2
    sentence = (
        f"{ways} of {ways} attacks on the swarm's ports changed nothing and are in the record; "
        f"{masters - obeyed} of {masters} hostile masters had nothing loaded"
        if right
        else f"strangers were heard: {found}"
    )
    return {**found, "as_it_must_be": right, "sentence": sentence}


def _at_the_ports(run: Path) -> tuple[dict[str, bool], list[str], bool]:
    with serving(shop) as server:
        spec = with_guests(shop_spec(server.url, run, workers=1), 1)
        key = RunKey.parse(spec.reach.key)
        ways: dict[str, Callable[[int], bytes]] = {
            "in plain text": in_plain_text,
            "without a key": lambda port: over_zeromq(port, None),
            "with another key": lambda port: over_zeromq(port, RunKey.draw()),
            "with the master's public key": lambda port: with_the_masters_public_key_alone(port, key),
        }
        with running(spec) as swarm:
            door = swarm.expect(Waiting).port
            answered = {
                f"port {number}, {name}": len(attack(port)) > 64
                for number, port in enumerate(sorted(ports_of(swarm)), 1)
                for name, attack in ways.items()
            }
            with guest(spec, door) as worker:
                _, finished, settled = to_the_end(swarm)
                worker.wait(60)
        asked = len(server.asked)
    load = settled.load
    whole = load.requests_sent == load.samples_recorded == swarm.table("requests").num_rows == asked
    whole = whole and load.users_released == 40 and not any(one.lost for one in load.workers)
    return answered, [note for note in finished.notes if NOTE in note or MESSAGES in note], whole


def _by_masters() -> tuple[int, int]:
    """How many had something loaded, and how many there were."""
    with tempfile.TemporaryDirectory() as folder:
        trap = Path(folder) / "trap.py"
        trap.write_text(TRAP)
        spec = asking_for(f"{trap}:Trap", Path(folder))
        kinds = dict.fromkeys(("fan", "bot", "lurker", "spectator", "probe"), f"{trap}:Trap")
        roles = {**kinds, "locustfile": str(trap)}
        asked = [asking_for(DEFAULT_PLATFORM, Path(folder), **{role: file}) for role, file in roles.items()]
        hostile = [master(welcome(one), KEY) for one in (spec, *asked)]
        keyless = [master(welcome(spec), None), master(welcome(spec), RunKey.draw()), listening(welcome(spec))]
        for number, one in enumerate((*hostile, *keyless)):
            with one as port:
                try:
                    join(call(port, *([trap] if number >= len(hostile) else [])), 1, print)
                except GatecrashError:
                    continue
        return int((Path(folder) / "sprung").exists()), len(hostile) + len(keyless)
