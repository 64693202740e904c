"""The lifecycle of a rehearsal, and the journal that it keeps in run.json."""
