"""Checkers about seats: who owned one, when a hold ended, what maps showed."""
