"""One fault, one short file: what is broken, by which injector, and how it is undone."""
