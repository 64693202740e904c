"""The fault proxy on a machine whose nameserver never answers: `python -m tests.chaos.proxy.deaf_nameserver`.

Only the system's look-up is another one: it knows what is in /etc/hosts, and for every other name it waits for ever.
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any

from chaos.proxy.__main__ import main

_getaddrinfo = socket.getaddrinfo


def _deaf(host: Any, *given: Any, **named: Any) -> Any:
    if str(host).endswith(".example"):
        print(f"looks up {host}", file=sys.stderr, flush=True)
        threading.Event().wait()
    return _getaddrinfo(host, *given, **named)


if __name__ == "__main__":
    socket.getaddrinfo = _deaf
    sys.exit(main())
