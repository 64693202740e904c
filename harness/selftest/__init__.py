"""Does the audit see? Each planted bug must be caught, and the clean system must raise no alarm.

`cases` says what to run and judges each run (pure), `runner` carries it out, `memory` keeps the result for later
reports, `command` is what a user types.
"""
