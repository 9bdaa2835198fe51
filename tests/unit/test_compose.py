"""The compose file and the Dockerfile agree with each other and with the project."""

import configparser
import importlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from spocdb.db.server import ENOUGH_MAINTENANCE_MEMORY, SOUND_VECTOR

ROOT = Path(__file__).parents[2]
UNITS = {"MB": 1024**2, "g": 1024**3}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def test_what_the_dockerfile_copies_is_there_and_not_ignored(dockerfile: list[list[str]]) -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [line[1:-1] for line in dockerfile if line[0] == "COPY"]
    sources = [name for names in copied if not names[0].startswith("--from") for name in names]
    for name in sources:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignore
    assert {"pyproject.toml", "spocdb", "cli", "migrations"} <= set(sources)


def test_the_image_starts_the_program(dockerfile: list[list[str]]) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (entrypoint,) = [line[1:] for line in dockerfile if line[0] == "ENTRYPOINT"]
    assert entrypoint == [f'["{name}"]' for name in scripts]


def test_what_is_built_is_copied_whole_to_the_image(dockerfile: list[list[str]]) -> None:
    (made,) = [line[-1] for line in dockerfile if line[:4] == ["RUN", "python", "-m", "venv"]]
    (copied,) = [line for line in dockerfile if line[0] == "COPY" and line[1] == "--from=build"]
    assert copied[2:] == [made, made]
    paths = [line[1] for line in dockerfile if line[0] == "ENV" and line[1].startswith("PATH=")]
    assert paths == [f"PATH={made}/bin:$PATH"] * 2


def test_without_a_gpu_the_same_services_have_an_image_without_cuda(
    compose: dict[str, Any], dockerfile: list[list[str]]
) -> None:
    class Loader(yaml.SafeLoader):
        """Knows the tag of Compose that removes a value."""

    Loader.add_constructor("!reset", lambda loader, node: None)
    other = yaml.load((ROOT / "docker-compose.cpu.yml").read_text(), Loader)
    arguments = {line[1].split("=")[0] for line in dockerfile if line[0] == "ARG"}
    built = {name for name, service in compose["services"].items() if "build" in service}
    assert set(other["services"]) == built
    for service in other["services"].values():
        assert set(service["build"]["args"]) == arguments
        assert service["image"] != compose["services"]["worker"]["image"]
    with_gpu = {name for name, service in compose["services"].items() if "deploy" in service}
    assert {n for n, service in other["services"].items() if "deploy" in service} == with_gpu


def test_the_index_without_cuda_is_the_same_everywhere() -> None:
    (index,) = re.findall(r"^CPU_TORCH := (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for name in ("Dockerfile", "docker-compose.cpu.yml", "docs/how-to/install.md"):
        assert index in (ROOT / name).read_text(), name


def test_the_image_does_not_run_as_root(dockerfile: list[list[str]]) -> None:
    assert [line[1] for line in dockerfile if line[0] == "USER"][-1:] == ["spocdb"]


@pytest.mark.parametrize("service", ["schema", "worker"])
def test_a_service_runs_a_real_command(compose: dict[str, Any], service: str) -> None:
    command = typer.main.get_command(importlib.import_module("spocdb.cli").app)
    words = shlex.split(compose["services"][service]["command"])
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    # Parsed as the program would: an unknown option or a missing argument raises.
    command.make_context("spocdb", words)


def test_the_worker_ingests_the_folder_that_is_mounted(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    folder = shlex.split(worker["command"])[-1]
    assert any(volume.endswith(f":{folder}:ro") for volume in worker["volumes"])


def test_the_weights_are_kept_where_the_user_may_write(
    compose: dict[str, Any], dockerfile: list[list[str]]
) -> None:
    (mount,) = [v for v in compose["services"]["worker"]["volumes"] if v.startswith("weights:")]
    (made,) = [line for line in dockerfile if "install" in line and "--directory" in line]
    assert made[-1] == mount.removeprefix("weights:")
    assert "--owner=spocdb" in made


def test_every_named_volume_and_service_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        for volume in service.get("volumes", ()):
            if re.match(r"\w", volume):
                assert volume.split(":")[0] in compose["volumes"]


def test_the_url_is_that_of_a_role_that_the_database_makes(compose: dict[str, Any]) -> None:
    """An integration test runs the SQL itself."""
    database = compose["services"]["db"]
    (config,) = database["configs"]
    assert config["target"].startswith("/docker-entrypoint-initdb.d/")
    roles = compose["configs"][config["source"]]["content"]
    (user,) = re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD", roles)
    (name,) = re.findall(rf"CREATE DATABASE (\w+) OWNER {user}", roles)
    # The image's superuser, unless POSTGRES_USER names another.
    assert "POSTGRES_USER" not in database["environment"] and user != "postgres"
    url = f"postgresql://{user}:{database['environment']['POSTGRES_PASSWORD']}@db/{name}"
    for service in ("schema", "worker"):
        assert compose["services"][service]["environment"]["SPOCDB_DATABASE_URL"] == url


def test_the_database_has_a_sound_pgvector_and_memory_for_its_index(
    compose: dict[str, Any],
) -> None:
    database = compose["services"]["db"]
    tag = re.fullmatch(r"pgvector/pgvector:(\d+)\.(\d+)\.(\d+)-pg18-\w+", database["image"])
    assert tag is not None
    assert tuple(map(int, tag.groups())) >= SOUND_VECTOR
    work = re.search(r"maintenance_work_mem=(\d+)(\w+)", database["command"])
    shared = re.fullmatch(r"(\d+)(\w+)", database["shm_size"])
    assert work is not None
    assert shared is not None
    bytes_of_work, bytes_shared = (int(m[1]) * UNITS[m[2]] for m in (work, shared))
    assert ENOUGH_MAINTENANCE_MEMORY <= bytes_of_work <= bytes_shared


def test_the_database_is_kept_where_the_image_of_postgresql_18_wants_it(
    compose: dict[str, Any],
) -> None:
    assert compose["services"]["db"]["volumes"] == ["db:/var/lib/postgresql"]


def test_the_services_of_the_docs_run_the_worker(compose: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "how-to" / "workers.md").read_text()
    (unit,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    parser = configparser.ConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment]  # as systemd has them
    parser.read_string(unit)
    program, *words = shlex.split(parser["Service"]["ExecStart"])
    assert (Path(program).name, words) == ("spocdb", ["worker"])
    (service,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (rows,) = yaml.safe_load(service)["services"].values()
    assert (rows["image"], rows["command"]) == (compose["x-spocdb"]["image"], "worker")
