"""Tests of the adapters for the little shop."""
