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
    asked = (
        (journeys.fan, load.fans),
        (journeys.bot, load.bots),
        (journeys.lurker, load.lurkers),
        (journeys.spectator, load.spectators),
    )
    classes: list[type[User]] = []
    for reference, count in asked:
        if count:
            user_class = journey_class(reference)
            user_class.fixed_count = count
            classes.append(user_class)
    return classes


def journey_class(reference: str) -> type[RehearsalUser]:
    """The journey that FILE:CLASS names. Raises `InputError`."""
    found = load_class(reference)
    if not issubclass(found, RehearsalUser):
        raise InputError(
            f"{reference} is no journey", hint="derive it from gatecrash.journeys.FanUser or RehearsalUser"
        )
    return found
