"""`python -m harness` is `gatecrash`."""

from harness.cli import main

if __name__ == "__main__":
    main()
