"""Which user classes a swarm runs, and how many users of each."""

from __future__ import annotations

from locust import User

from harness.errors import InputError
from harness.swarm.messaging.protocol import SwarmSpec
from harness.swarm.users.loader import load_class
from harness.swarm.users.locustfile import users_of
from harness.swarm.users.user import RehearsalUser


def user_classes(spec: SwarmSpec) -> list[type[User]]:
    """The journeys that somebody takes, each with as many users as were asked for; or the users of a locustfile."""
    if spec.journeys.locustfile:
        return users_of(spec.journeys.locustfile, spec.addresses.booking)
    journeys, load = spec.journeys, spec.scenario.load
    counts = {"fan": load.fans, "bot": load.bots, "lurker": load.lurkers, "spectator": load.spectators}
    classes: dict[str, type[User]] = {}
    for kind, count in counts.items():
        if count:
            reference = journeys.classes[kind]
            user_class = journey_class(kind, reference)
            user_class.fixed_count = count
            if classes.setdefault(user_class.__name__, user_class) is not user_class:
                hint = "Locust tells classes apart by name: give each a name of its own"
                raise InputError(f"{reference} is the second journey of that name", hint=hint)
    return list(classes.values())


def journey_class(kind: str, reference: str) -> type[RehearsalUser]:
    """The journey that FILE:CLASS names.

    Raises `InputError`: it is none, or that of another kind of user, whose names and numbers it would take.
    """
    user_class = load_class(reference)
    if not issubclass(user_class, RehearsalUser):
        hint = "derive it from gatecrash.journeys.FanUser, or from RehearsalUser"
        raise InputError(f"{reference} is no journey", hint=hint)
    if getattr(user_class, "kind", "") != kind:
        said = f"{reference} is the journey of a {getattr(user_class, 'kind', 'user of no kind')}, not of a {kind}"
        raise InputError(said, hint=f"derive it from gatecrash.journeys.{kind.title()}User")
    return user_class
