"""Side-by-side benchmarks: ratios in one run, written to bench-results/. Not part of the test suite."""
