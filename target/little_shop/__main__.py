"""`python -m target.little_shop --port P …`: the shop in the foreground. `--help` tells its options."""

from __future__ import annotations

import sys

from target.little_shop.app import shop_app
from target.little_shop.serving import serve
from target.little_shop.settings import SettingsError, read_settings


def main(arguments: list[str]) -> int:
    """Serves until told to stop. Exit code 2: an option cannot be used."""
    try:
        settings = read_settings(arguments)
        serve(shop_app(settings), settings.host, settings.port)
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"little_shop: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
