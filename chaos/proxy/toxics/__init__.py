"""One toxic, one file."""
