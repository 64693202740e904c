"""A real nginx as HTTPS reverse proxy, for tests of platforms that stand behind one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.processes.ports import accepts, free_ports
from tests.waiting import wait_until

CONFIG = """\
{user}daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    location {path}/ {{
      if ($http_x_load_test != "{password}") {{ return 403; }}
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto https;
    }}
    location / {{ return 404; }}
  }}
}}
"""
"""Only who sends the header gets past it, as past a firewall; only what is below the path is passed on."""


def certificate(folder: Path) -> None:
    """cert.pem and key.pem of 127.0.0.1 in this folder, signed by nobody else."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem", "-subj", "/CN=shop", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip


@contextmanager
def behind_nginx(folder: Path, upstream: int, path: str, password: str) -> Iterator[str]:
    """The https:// address at which what listens at `upstream` is behind nginx; skips where there is none."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx in PATH")
    folder.mkdir()
    certificate(folder)
    (port,) = free_ports(1)
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(user=user, folder=folder, port=port, upstream=upstream, path=path, password=password)
    )
    with (folder / "out.log").open("wb") as log:
        process = subprocess.Popen([nginx, "-p", folder, "-c", config], stdout=log, stderr=log)
    try:
        wait_until(lambda: accepts(port), within_s=10, what="nginx")
        yield f"https://127.0.0.1:{port}{path}"
    finally:
        process.terminate()
        process.wait(10)
