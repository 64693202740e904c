"""An adapter in a rehearsal: its verbs as operations of the history, and the state at rest."""
