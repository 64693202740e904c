"""The Kubernetes base on a real control plane: what the documents tell people to type, and what it is made into."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.swarm.messaging import KEY_VARIABLE
from harness.swarm.messaging.run_key import RunKey
from tests.deploy.control_plane import ControlPlane, control_plane
from tests.deploy.test_kubernetes import BASE
from tests.waiting import wait_until

NAMESPACE = "gatecrash"
WORKERS = 4


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base with the files of a user."""
    folder = tmp_path_factory.mktemp("user") / "rehearsal"
    shutil.copytree(BASE, folder)
    (folder / "worker-key.env").write_text(f"{KEY_VARIABLE}={RunKey.draw().text}\n")
    for name in ("onsale.yaml", "shop.py"):
        (folder / name).write_text("# mine\n")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("cluster")) as one:
        yield one


@pytest.fixture(scope="module")
def applied(cluster: ControlPlane, base: Path) -> ControlPlane:
    """After the one command of the page."""
    cluster.done("apply", "-k", str(base))
    return cluster


def found(cluster: ControlPlane, *words: str) -> list[dict[str, Any]]:
    return list(json.loads(cluster.done("-n", NAMESPACE, "get", *words, "-o", "json"))["items"])


def test_one_command_applies_all_of_it_and_the_server_sees_no_difference_then(
    applied: ControlPlane, base: Path
) -> None:
    assert len(applied.done("apply", "-k", str(base)).splitlines()) == 8
    differs = applied.kubectl("diff", "-k", str(base))
    assert (differs.returncode, differs.stdout) == (0, "")


def test_the_server_would_admit_it_without_a_warning(applied: ControlPlane, base: Path) -> None:
    tried = applied.kubectl("apply", "-k", str(base), "--dry-run=server", "--validate=strict", "--warnings-as-errors")
    assert (tried.returncode, tried.stderr) == (0, "")


def test_the_server_knows_a_key_that_is_none(applied: ControlPlane, base: Path) -> None:
    jobs = (base / "workers.yaml").read_text().replace("parallelism", "paralelism")
    tried = applied.kubectl("-n", NAMESPACE, "apply", "-f", "-", "--dry-run=server", "--validate=strict", stdin=jobs)
    assert tried.returncode != 0
    assert 'unknown field "spec.paralelism"' in tried.stderr


def test_the_jobs_become_pods_that_the_restricted_namespace_admits(applied: ControlPlane) -> None:
    wait_until(lambda: len(found(applied, "pods")) == 1 + WORKERS, within_s=120, what="a pod for each part")
    pods = found(applied, "pods")
    components = sorted(pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods)
    assert components == ["rehearsal", *["worker"] * WORKERS]
    assert {pod["status"]["phase"] for pod in pods} == {"Pending"}
    refusals = [event["message"] for event in found(applied, "events") if event["reason"] == "FailedCreate"]
    assert [message for message in refusals if "PodSecurity" in message] == []


def test_the_namespace_refuses_a_pod_that_may_be_root(applied: ControlPlane, base: Path) -> None:
    [job] = yaml.safe_load_all((base / "workers.yaml").read_text())
    spec = job["spec"]["template"]["spec"]
    spec["securityContext"]["runAsNonRoot"] = False
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": spec}
    tried = applied.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(pod))
    assert tried.returncode != 0
    assert "runAsNonRoot != true" in tried.stderr


def test_every_pod_finds_its_key_and_its_files(applied: ControlPlane) -> None:
    secrets = {one["metadata"]["name"]: set(one["data"]) for one in found(applied, "secrets")}
    files = {one["metadata"]["name"]: set(one["data"]) for one in found(applied, "configmaps")}
    assert secrets["worker-key"] == {KEY_VARIABLE}
    assert files["rehearsal-files"] == {"onsale.yaml", "shop.py"}
    for pod in found(applied, "pods"):
        [container] = pod["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "worker-key"}}]
        assert "rehearsal-files" in {volume.get("configMap", {}).get("name") for volume in pod["spec"]["volumes"]}


def test_a_rehearsal_is_ended_early_as_the_page_says(applied: ControlPlane) -> None:
    applied.done("-n", NAMESPACE, "delete", "job", "rehearsal")
    assert [job["metadata"]["name"] for job in found(applied, "jobs")] == ["workers"]
