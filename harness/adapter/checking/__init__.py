"""An adapter before any load: what it declares, a walk through its verbs, a trial purchase."""
