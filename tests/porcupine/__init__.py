"""Seat histories judged twice: by the checkers of harness/audit, and by porcupine, which searches for an order."""
