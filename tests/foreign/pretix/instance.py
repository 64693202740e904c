"""An instance of pretix from nothing: PostgreSQL, Valkey, web servers, task workers, and nginx with HTTPS before them.

`python -m tests.foreign.pretix.instance` raises it, prints "ready", and keeps it until it is stopped (SIGTERM). Its
Python environment is made once, in `.instance/` beside this file, from `requirements.lock`; the rest is always fresh.
The token of its operator comes from the environment: PRETIX_TOKEN.
"""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from harness.errors import GatecrashError
from harness.processes.managed import ManagedProcess, stop_all
from harness.stack.reference.databases import Postgres, start_valkey

HERE = Path(__file__).parent
INSTANCE = HERE / ".instance"
PYTHON = INSTANCE / "venv" / "bin" / "python"
CERTIFICATE = INSTANCE / "certificate.pem"
DATA = INSTANCE / "data"
URL = "https://127.0.0.1:28443"
DATABASE_PORT, EDGE_PORT, VALKEY_PORT, WEB_PORT = 25432, 25433, 26379, 28000
WEB_WORKERS = TASK_WORKERS = 4

CONFIGURATION = """
[pretix]
instance_name=Rehearsal
url={url}
datadir={data}
trust_x_forwarded_for=on
trust_x_forwarded_proto=on
[database]
backend=postgresql
name=postgres
user=postgres
password={password}
host=127.0.0.1
port={port}
[redis]
location=redis://127.0.0.1:{valkey}/0
sessions=true
[celery]
broker=redis://127.0.0.1:{valkey}/1
backend=redis://127.0.0.1:{valkey}/2
"""

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:28443 ssl backlog=2048;
    ssl_certificate {certificate};
    ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass http://127.0.0.1:{web};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https;
      proxy_read_timeout 120s;
    }}
  }}
}}
"""


def main() -> int:
    """Raise the instance and keep it. 1: something did not come up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    install()
    folder = Path(tempfile.mkdtemp(prefix="pretix-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    processes: list[ManagedProcess] = []
    try:
        raise_parts(folder, processes)
        print(f"ready: {URL}/finals/template/", flush=True)
        while all(process.running for process in processes):
            time.sleep(0.5)
        dead = next(process for process in processes if not process.running)
        print(f"{dead.name} ended on its own: see {dead.log}", file=sys.stderr)
    except GatecrashError as error:
        print(error, file=sys.stderr)
    finally:
        stop_all(processes, within_s=15)
        shutil.rmtree(folder)
    return 1


def install() -> None:
    """pretix's own environment, from the lock; kept for the next time."""
    lock, installed = HERE / "requirements.lock", INSTANCE / "venv" / "installed.lock"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, PYTHON.parents[1]], check=True)
    subprocess.run([*uv, "pip", "install", "--python", PYTHON, "--require-hashes", "-r", lock], check=True)
    shutil.copy(lock, installed)


def raise_parts(folder: Path, processes: list[ManagedProcess]) -> None:
    """Every part, in the order in which they need each other. `processes` are those that came up so far."""
    logs = INSTANCE / "logs"
    shutil.rmtree(DATA, ignore_errors=True)
    shutil.rmtree(logs, ignore_errors=True)
    DATA.mkdir()
    logs.mkdir()
    postgres = Postgres(folder, logs)
    postgres.initialise().wait_success(within_s=60)
    processes.append(postgres.start_primary(DATABASE_PORT))
    processes.append(start_valkey(VALKEY_PORT, folder / "valkey", logs / "valkey.log"))

    def pretix(name: str, *arguments: str | Path, port: int) -> ManagedProcess:
        configuration = folder / f"{name}.cfg"
        configuration.touch(mode=0o600)
        configuration.write_text(
            CONFIGURATION.format(url=URL, data=DATA, password=postgres.password, port=port, valkey=VALKEY_PORT)
        )
        environment = {
            **os.environ,
            "PRETIX_CONFIG_FILE": str(configuration),
            "DJANGO_SETTINGS_MODULE": "shop_settings",
            "PYTHONPATH": str(HERE),
        }
        return ManagedProcess(name, [PYTHON, *arguments], log=logs / f"{name}.log", env=environment, cwd=folder)

    pretix("bootstrap", HERE / "shop_bootstrap.py", port=DATABASE_PORT).wait_success(within_s=300)
    web = ["-m", "gunicorn", "pretix.wsgi", "--preload", "--workers", f"{WEB_WORKERS}", "--timeout", "120"]
    tasks = ["-m", "celery", "-A", "pretix.celery_app", "worker", "-c", f"{TASK_WORKERS}", "-Q", "default,checkout"]
    processes.append(pretix("web", *web, "--backlog", "2048", "--bind", f"127.0.0.1:{WEB_PORT}", port=EDGE_PORT))
    processes.append(pretix("tasks", *tasks, port=EDGE_PORT))
    processes.append(raise_nginx(folder, logs))


def raise_nginx(folder: Path, logs: Path) -> ManagedProcess:
    """nginx with a certificate of its own, waited for until pretix answers through it."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key.pem"), "-out", str(CERTIFICATE)]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *subject, *key], check=True, capture_output=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, certificate=CERTIFICATE, web=WEB_PORT))
    nginx = ManagedProcess(
        "nginx", [shutil.which("nginx") or "/usr/sbin/nginx", "-c", configuration], log=logs / "nginx.log"
    )
    nginx.wait_healthy(answers, within_s=120)
    return nginx


def answers() -> bool:
    """Whether pretix answers through nginx: an error of its own will do, as its database is behind an edge of ours."""
    trusted = ssl.create_default_context(cafile=str(CERTIFICATE))
    try:
        with urllib.request.urlopen(f"{URL}/healthcheck/", context=trusted, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code != HTTPStatus.BAD_GATEWAY
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
