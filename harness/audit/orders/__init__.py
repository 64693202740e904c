"""Checkers about orders and money: what fans were told, what they were charged."""
