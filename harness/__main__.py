"""`python -m harness` is `gatecrash`."""

from harness.processes.starting import end_at_once_when_stopped

if __name__ == "__main__":
    end_at_once_when_stopped()
    from harness.cli import main

    main()
