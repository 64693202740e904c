"""The users: their plan, when they arrive, and the barrier that holds them until T0."""
