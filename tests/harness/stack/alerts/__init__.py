"""Series of runs that the alerts are tried on; `python -m tests.harness.stack.alerts RUN NAME` keeps those of a run."""
