"""What a worker notes of each request: rows, clocks, traces."""
