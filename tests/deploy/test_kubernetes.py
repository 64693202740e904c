"""The Kubernetes base: every object fits its schema, and its parts fit one another and the commands that they run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from harness.cli import commands
from harness.cli.app import app
from harness.swarm.joining.handshake import DEFAULT_PORT
from harness.swarm.messaging import KEY_VARIABLE
from harness.swarm.messaging.run_key import RunKey

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.36")
KUSTOMIZATION = yaml.safe_load((BASE / "kustomization.yaml").read_text())
OBJECTS = [one for name in KUSTOMIZATION["resources"] for one in yaml.safe_load_all((BASE / name).read_text())]


def one(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found  # type: ignore[no-any-return]


def pod(job: str) -> dict[str, Any]:
    return one("Job", job)["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def container(job: str) -> dict[str, Any]:
    [found] = pod(job)["containers"]
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", OBJECTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_an_object_fits_its_schema(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_refuses_what_it_does_not_know() -> None:
    job = one("Job", "workers")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job | {"spec": job["spec"] | {"paralelism": 4}}, VERSIONS[0], strict=True)


def require_known(words: list[str]) -> None:
    """The command exists, and has these options."""
    assert commands is not None
    name, *rest = words
    command: Any = typer.main.get_command(app)
    known = {opt for parameter in command.commands[name].params for opt in parameter.opts}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize("job", ["rehearsal", "workers"])
def test_it_runs_a_command_that_exists_with_its_options(job: str) -> None:
    assert container(job)["command"] == ["gatecrash"]
    require_known(container(job)["args"])


def test_as_many_workers_come_as_the_rehearsal_waits_for() -> None:
    [awaited] = [word for word in container("rehearsal")["args"] if word.startswith("--remote-workers=")]
    spec = one("Job", "workers")["spec"]
    assert spec["parallelism"] == spec["completions"] == int(awaited.partition("=")[2])


def test_workers_find_the_rehearsal_by_the_name_and_ports_of_its_service() -> None:
    service = one("Service", "rehearsal")
    ports = [port["port"] for port in service["spec"]["ports"]]
    assert ports == [DEFAULT_PORT, DEFAULT_PORT + 1]
    assert f"--master=rehearsal:{DEFAULT_PORT}" in container("workers")["args"]
    assert service["spec"]["clusterIP"] == "None"
    labels = one("Job", "rehearsal")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    allowed = one("NetworkPolicy", "rehearsal")["spec"]["ingress"]
    assert [[port["port"] for port in rule["ports"]] for rule in allowed] == [ports]


@pytest.mark.parametrize("job", ["rehearsal", "workers"])
def test_the_key_is_a_secret_and_nothing_runs_as_root(job: str) -> None:
    [secret] = KUSTOMIZATION["secretGenerator"]
    assert container(job)["envFrom"] == [{"secretRef": {"name": secret["name"]}}]
    assert pod(job)["securityContext"]["runAsNonRoot"] is True
    assert container(job)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(container(job)["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl in PATH")
def test_kustomize_builds_it_with_the_files_of_the_user(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(BASE, folder)
    key = RunKey.draw().text
    (folder / "worker-key.env").write_text(f"{KEY_VARIABLE}={key}\n")
    for name in ("onsale.yaml", "shop.py"):
        (folder / name).write_text("# mine\n")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    for document in built:
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)
    assert {one["metadata"].get("namespace", "gatecrash") for one in built} == {"gatecrash"}
    jobs = [one for one in built if one["kind"] == "Job"]
    names = {job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] for job in jobs}
    assert names == {"gatecrash"}
