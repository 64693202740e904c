"""`python -m tests.bench.journeys`."""

from tests.bench.journeys import main

if __name__ == "__main__":
    main()
