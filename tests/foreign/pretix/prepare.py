"""Opens a fresh event for one run, by pretix's API: a clone of the template, with its quota and its product.

`prepare.py [FLAG …]`: debug flags of pretix that are in force from now on (`shop_settings.py`). Prints what gatecrash
needs to know.
"""

import json
import os
import secrets
import ssl
import sys
import urllib.request
from pathlib import Path

INSTANCE = Path(__file__).parent / ".instance"
ORIGIN = "https://127.0.0.1:28443"
EVENTS = f"{ORIGIN}/api/v1/organizers/finals/events/"


def main() -> None:
    (INSTANCE / "data" / "debug-flags").write_text(" ".join(sys.argv[1:]))
    slug = f"run-{secrets.token_hex(4)}"
    ask("POST", f"{EVENTS}template/clone/", name={"en": "Finals"}, slug=slug, date_from="2030-06-01T20:00:00Z")
    ask("PATCH", f"{EVENTS}{slug}/", live=True)
    print(f"url={ORIGIN}/finals/{slug}/")
    print(f"settings.api=/api/v1/organizers/finals/events/{slug}/")


def ask(method: str, url: str, **fields: object) -> None:
    headers = {"Authorization": f"Token {os.environ['PRETIX_TOKEN']}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(fields).encode(), headers, method=method)
    trusted = ssl.create_default_context(cafile=str(INSTANCE / "certificate.pem"))
    with urllib.request.urlopen(request, context=trusted, timeout=60):
        pass


if __name__ == "__main__":
    main()
