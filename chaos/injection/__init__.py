"""Carries experiments out: preflight, injection, guards."""
