"""Telemetry of a process: metrics, logs and spans."""
