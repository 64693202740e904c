from scenarios.journeys import *  # noqa: F403
