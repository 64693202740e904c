"""The little shop behind a real nginx: HTTPS, a base path, a header that lets a rehearsal in, and a login."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.nginx import behind_nginx
from tests.target.little_shop.shops import ROOT, TOKEN, running

PASSWORD = "waf-bypass-0815"
ENVIRONMENT = {"WAF_BYPASS": PASSWORD, "LITTLE_SHOP_TOKEN": TOKEN, "PYTHON": sys.executable}
"""What a rehearsal of it needs in its environment."""


@contextmanager
def guarded_shop(folder: Path, accounts: int, *options: str) -> Iterator[dict[str, Any]]:
    """The `platform:` section of a scenario whose shop is up; skips where there is no nginx."""
    people = folder / "people.csv"
    people.write_text("name,password\n" + "".join(f"customer{n},word{n:04}\n" for n in range(accounts)))
    with running("target.little_shop", "--base-path", "/onsale", "--login", str(people), *options) as address:
        port = int(address.rpartition(":")[2])
        with behind_nginx(folder / "nginx", port, "/onsale", PASSWORD) as url:
            yield {
                "adapter": f"{ROOT}/scenarios/little_shop/kinds.py:DirectShop",
                "url": url,
                "people": str(people),
                "secret_columns": ["password"],
                "headers": {"X-Load-Test": "env:WAF_BYPASS"},
                "secrets": {"token": "LITTLE_SHOP_TOKEN"},
                "ca_file": str(folder / "nginx" / "cert.pem"),
            }
