"""A control plane of Kubernetes: etcd, the API server, and the controllers that make pods of jobs.

There is no kubelet and no scheduler: objects are admitted, defaulted and validated, and pods stay Pending.
GATECRASH_CONTROL_PLANE_BIN names the program. It is made from the published Go modules, with some ten minutes of
processor time, by

    go build -C tests/deploy/control_plane -ldflags '-X k8s.io/component-base/version.gitVersion=v1.36.0' -o FILE .
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from harness.processes.ports import free_ports
from tests.waiting import wait_until

VARIABLE: Final = "GATECRASH_CONTROL_PLANE_BIN"
_WITHIN_S: Final = 120.0


class ControlPlane:
    """One that runs, and a kubectl that speaks to it as an administrator."""

    def __init__(self, kubectl: str, config: Path) -> None:
        self._command = [kubectl, "--kubeconfig", str(config), "--cache-dir", str(config.parent / "cache")]

    def kubectl(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Whatever comes of it."""
        return subprocess.run(
            [*self._command, *words], input=stdin, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )

    def done(self, *words: str, stdin: str = "") -> str:
        """What it says when it works."""
        said = self.kubectl(*words, stdin=stdin)
        assert said.returncode == 0, said.stderr
        return said.stdout


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Until the end of the block; skips where the program or kubectl is missing."""
    program, kubectl = os.environ.get(VARIABLE), shutil.which("kubectl")
    if not program:
        pytest.skip(f"no {VARIABLE}")
    if kubectl is None:
        pytest.skip("no kubectl in PATH")
    key, config, token = folder / "accounts.key", folder / "kubeconfig", secrets.token_hex(16)
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    clients, peers, secure = free_ports(3)
    config.write_text(_kubeconfig(secure, token))
    etcd = f"http://127.0.0.1:{clients}"
    with ExitStack() as stack:

        def start(part: str, *words: str, **options: object) -> None:
            words += tuple(f"--{name.replace('_', '-')}={value}" for name, value in options.items())
            log = stack.enter_context((folder / f"{part}.log").open("wb"))
            process = subprocess.Popen([program, part, *words], cwd=folder, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start(
            "etcd", data_dir=folder / "etcd", listen_client_urls=etcd, advertise_client_urls=etcd,
            listen_peer_urls=f"http://127.0.0.1:{peers}", unsafe_no_fsync="true",
        )  # fmt: skip
        start(
            "kube-apiserver", etcd_servers=etcd, bind_address="127.0.0.1", secure_port=secure,
            advertise_address="127.0.0.1", cert_dir=folder / "certificates", token_auth_file=folder / "tokens.csv",
            authorization_mode="RBAC", service_cluster_ip_range="10.0.0.0/24", service_account_key_file=key,
            service_account_signing_key_file=key, service_account_issuer="https://kubernetes.default.svc",
        )  # fmt: skip
        ready = ControlPlane(kubectl, config)
        wait_until(
            lambda: ready.kubectl("get", "--raw", "/readyz").returncode == 0, within_s=_WITHIN_S, what="the API server"
        )
        start("controllers", str(config))
        yield ready


def _kubeconfig(port: int, token: str) -> str:
    """JSON is YAML."""
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
    )
