"""Checkers about how many tickets: what is on sale, what fans asked for, and what they got."""
