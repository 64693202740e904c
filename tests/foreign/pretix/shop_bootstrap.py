"""Tables and the one shop of an instance: an organizer, a token, gift cards, and an event that each run clones.

Runs once, with pretix's own Python. The tables are made from the models, as pretix's own tests make them: its
migrations take a minute and a half.
"""

import csv
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

STOCK = 50
PRICE = Decimal("25.00")
SETTINGS = {
    "reservation_time": 1,  # minutes
    "max_items_per_order": 4,
    "attendee_names_asked": False,
    "invoice_address_asked": False,
    "show_quota_left": True,
    "cookie_consent": False,
    "payment_giftcard__enabled": True,
    "payment_manual__enabled": True,  # gift cards alone do not open a shop
    "mail_attach_ical": False,
    "invoice_generate": "False",
}


class NoMigrations(dict):
    def __contains__(self, app: object) -> bool:
        return True

    def __getitem__(self, app: object) -> None:
        return None


def main() -> None:
    django.setup()
    settings.MIGRATION_MODULES = NoMigrations()
    call_command("migrate", run_syncdb=True, verbosity=0, skip_checks=True)

    from django.utils.timezone import now
    from django_scopes import scope, scopes_disabled
    from pretix.base.models import Event, GiftCard, Organizer, Quota, Team

    with scopes_disabled():
        organizer = Organizer.objects.create(name="Finals", slug="finals")
        organizer.settings.cookie_consent = False
    with scope(organizer=organizer):
        team = Team.objects.create(
            organizer=organizer, name="operators", all_events=True,
            all_event_permissions=True, all_organizer_permissions=True,
        )  # fmt: skip
        team.tokens.create(name="rehearsal", token=os.environ["PRETIX_TOKEN"])
        with Path(__file__).with_name("people.csv").open(newline="") as people:
            for row in csv.DictReader(people):
                card = GiftCard.objects.create(issuer=organizer, currency="EUR", secret=row["card"])
                card.transactions.create(value=Decimal("1000000"), acceptor=organizer)
        event = Event.objects.create(
            organizer=organizer, name="Finals", slug="template", currency="EUR", plugins="pretix.plugins.manualpayment",
            date_from=now() + timedelta(days=90), live=False,
        )  # fmt: skip
        for name, value in SETTINGS.items():
            event.settings.set(name, value)
        item = event.items.create(name="Ticket", default_price=PRICE, admission=True, active=True)
        quota = Quota.objects.create(event=event, name="standing", size=STOCK)
        quota.items.add(item)


if __name__ == "__main__":
    main()
