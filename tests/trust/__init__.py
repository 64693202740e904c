"""What a verdict can be trusted with, in figures that anybody can make again: `python -m tests.trust`."""
