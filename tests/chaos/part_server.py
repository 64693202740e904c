"""A part of somebody's platform, as a process: `python -m tests.chaos.part_server PORT PID_FILE`.

It answers GET with 200 on PORT, and writes its id into PID_FILE once it listens.
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness.processes.ports import HOST


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    server = ThreadingHTTPServer((HOST, int(sys.argv[1])), _Page)
    Path(sys.argv[2]).write_text(f"{os.getpid()}\n")
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
