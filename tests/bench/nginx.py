"""nginx as the server of a benchmark, in a directory of its own, one worker on one core."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import rounds
from tests.waiting import wait_until

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    add_header Cache-Control no-store;
    location / {{ return 200 '{body}'; }}
  }}
}}
"""


def is_here() -> bool:
    return shutil.which("nginx") is not None


@contextmanager
def running(body: bytes) -> Iterator[str]:
    """Its URL; every path is answered with `body`."""
    with TemporaryDirectory() as folder:
        port = free_port()
        file = Path(folder) / "nginx.conf"
        file.write_text(CONFIGURATION.format(folder=folder, port=port, body=body.decode()))
        with rounds.on_core(0):
            process = subprocess.Popen(["nginx", "-p", folder, "-c", str(file)])
        try:
            wait_until(lambda: answers(port), within_s=20)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
