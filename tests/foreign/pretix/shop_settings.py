"""Django settings of the instance under rehearsal: pretix's own, without mail, and with its locking switchable.

pretix has a debug flag that leaves its locks out, made for its own test of races. It is read per request, in the
process that serves it; orders are made in task workers. So it is set here before each task, while the file
`skip-locking` lies in the data directory.
"""

from pathlib import Path

from celery.signals import task_prerun
from pretix.settings import *  # noqa: F403
from pretix.settings import DATA_DIR, LOGGING

EMAIL_BACKEND = EMAIL_CUSTOM_SMTP_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
LOGGING["loggers"][""]["level"] = "WARNING"
SKIP_LOCKING = Path(DATA_DIR, "skip-locking")


@task_prerun.connect
def choose_locking(**_: object) -> None:
    from pretix.testutils.middleware import debugflags_var  # imports models: not before the settings are made

    debugflags_var.set(frozenset({"skip-locking"} if SKIP_LOCKING.exists() else ()))
