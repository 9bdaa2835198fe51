"""The manifests for Kubernetes: valid by its schemas and KEDA's, and they agree with each other."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from pydantic import BaseModel
from typer.core import TyperGroup

from spocdb.db.server import SOUND_VECTOR

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "kubernetes"
KEDA = {"ScaledObject", "TriggerAuthentication"}
DOCUMENTS = [
    pytest.param(document, id=f"{file.stem}-{document['kind']}-{document['metadata']['name']}")
    for file in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]
MANIFESTS: list[dict[str, Any]] = [one.values[0] for one in DOCUMENTS]  # type: ignore[misc]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in MANIFESTS if m["kind"] == kind}


def values(node: Any, key: str) -> Iterator[Any]:
    """Yield all values of a key, however deep."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for one in node:
            yield from values(one, key)


def containers() -> list[dict[str, Any]]:
    return [
        c for key in ("containers", "initContainers") for cs in values(MANIFESTS, key) for c in cs
    ]


def model_of(kind: str) -> type[BaseModel]:
    """Return KEDA's model of a kind; the import takes a second, which other processes save."""
    found: type[BaseModel] = getattr(import_module("cloudcoil.models.keda.v1alpha1"), kind)
    return found


def errors_of(document: dict[str, Any], version: str) -> list[str]:
    """Return what Kubernetes would refuse, unknown fields too."""
    if document["kind"] in KEDA:
        found = (
            model_of(document["kind"])
            .model_validate(document)
            .model_dump(by_alias=True, exclude_none=True)
        )
        # The models let unknown fields pass, and keep them out of what they write.
        return [] if document["spec"].keys() == found["spec"].keys() else ["an unknown field"]
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    return []


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_a_manifest_is_valid(document: dict[str, Any], version: str) -> None:
    assert errors_of(document, version) == []


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job", "Secret", "ScaledObject"])
def test_a_mistake_is_found(kind: str) -> None:
    document = next(iter(of_kind(kind).values()))
    part = "stringData" if kind == "Secret" else "spec"
    wrong = {**document, part: {**document[part], "replikas": 2}}
    assert errors_of(wrong | ({"typo": 1} if kind == "Secret" else {}), "1.37") != []


def test_every_secret_and_key_that_is_named_exists() -> None:
    secrets = {name: secret["stringData"].keys() for name, secret in of_kind("Secret").items()}
    named = [(ref["name"], ref["key"]) for ref in values(MANIFESTS, "secretKeyRef")]
    for targets in values(MANIFESTS, "secretTargetRef"):
        named += [(target["name"], target["key"]) for target in targets]
    assert len(named) > 5
    assert all(key in secrets[name] for name, key in named)
    assert {name for name, _ in named} | {"spocdb-web", "spocdb-cloud"} == set(secrets)
    # Each URL leads to the database's service and a role that is made there.
    script = of_kind("ConfigMap")["spocdb-roles"]["data"]["roles.sql"]
    for name in ("spocdb-owner", "spocdb-worker"):
        url = of_kind("Secret")[name]["stringData"]["url"]
        role, password, host, database = re.findall(r"//(\w+):([\w-]+)@([\w-]+)/(\w+)$", url)[0]
        assert f"CREATE ROLE {role} LOGIN" in script
        assert password in of_kind("Secret")["spocdb-passwords"]["stringData"].values()
        assert host in of_kind("Service")
        assert f"CREATE DATABASE {database} " in script


def test_every_service_and_scaler_selects_pods_that_exist() -> None:
    labels = [
        template["metadata"]["labels"]
        for template in values(MANIFESTS, "template")
        if "metadata" in template
    ]
    for service in of_kind("Service").values():
        assert service["spec"]["selector"] in labels
    (scaled,) = of_kind("ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"]["name"] in of_kind("Deployment")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["authenticationRef"]["name"] in of_kind("TriggerAuthentication")


def test_every_volume_that_is_mounted_exists_and_the_root_is_read_only() -> None:
    for pod in values(MANIFESTS, "spec"):
        mounted = {m["name"] for c in pod.get("containers", ()) for m in c.get("volumeMounts", ())}
        assert mounted <= {v["name"] for v in pod.get("volumes", ())} | {"data"}


def test_every_container_runs_a_real_command() -> None:
    ours = [c for c in containers() if c["image"] == "spocdb"]
    assert len(ours) == 4
    for container in ours:
        command = typer.main.get_command(import_module("spocdb.cli").app)
        words = list(container["args"])
        while isinstance(command, TyperGroup):
            command = command.commands[words.pop(0)]
        # Parsed as the program would: an unknown option or a missing argument raises.
        command.make_context("spocdb", words)


def test_pods_run_as_the_user_of_the_image() -> None:
    (made,) = re.findall(r"useradd --uid=(\d+)", (ROOT / "Dockerfile").read_text())
    assert set(values(MANIFESTS, "runAsUser")) == {int(made)}


def test_the_database_has_a_sound_pgvector_and_room_for_parallel_builds() -> None:
    (postgres,) = [c for c in containers() if c["name"] == "postgres"]
    tag = re.fullmatch(r"pgvector/pgvector:(\d+)\.(\d+)\.(\d+)-pg18-\w+", postgres["image"])
    assert tag is not None
    assert tuple(map(int, tag.groups())) >= SOUND_VECTOR
    assert "/dev/shm" in [mount["mountPath"] for mount in postgres["volumeMounts"]]
