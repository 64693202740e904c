"""`gatecrash init`: the files that a rehearsal of one's own shop begins with, from flags or from a recording."""
