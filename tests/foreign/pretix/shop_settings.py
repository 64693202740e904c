"""Django settings of the instance under rehearsal: pretix's own, without mail, and with its locking switchable.

pretix has debug flags for its own test of races: "skip-locking" leaves its locks out, "sleep-after-quota-check" gives a
race two seconds. They are read per request, in the process that serves it; orders are made in task workers. So those
that the file `debug-flags` of the data directory names are set here before each task.
"""

from pathlib import Path

from celery.signals import task_prerun
from pretix.settings import *  # noqa: F403
from pretix.settings import DATA_DIR, LOGGING

EMAIL_BACKEND = EMAIL_CUSTOM_SMTP_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
LOGGING["loggers"][""]["level"] = "WARNING"
FLAGS = Path(DATA_DIR, "debug-flags")


@task_prerun.connect
def set_flags(**_: object) -> None:
    from pretix.testutils.middleware import debugflags_var  # imports models: not before the settings are made

    debugflags_var.set(frozenset(FLAGS.read_text().split() if FLAGS.exists() else ()))
