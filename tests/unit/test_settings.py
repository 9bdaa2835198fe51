"""Settings: arguments before the environment, the environment before defaults."""

import os
import stat
from pathlib import Path

import pytest

from spocdb import machine
from spocdb.errors import ConfigError
from spocdb.settings import DEFAULT_MAX_PIXELS, LEAST_MEMORY, from_environment


def test_the_defaults() -> None:
    settings = from_environment(environ={})
    assert settings.database_url is None
    assert settings.cache_dir == Path.home() / ".cache" / "spocdb"
    assert settings.max_pixels == DEFAULT_MAX_PIXELS
    assert settings.data_dir.is_absolute()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_roots_data_lies_where_another_user_can_reach_it() -> None:
    folder = from_environment(environ={}).data_dir
    parents = [p for p in folder.parents if p.exists()]
    assert all(p.stat().st_mode & stat.S_IXOTH for p in parents)


def test_an_argument_comes_before_the_environment() -> None:
    environ = {"SPOCDB_DATABASE_URL": "postgresql:///theirs"}
    assert from_environment(environ=environ).database_url == "postgresql:///theirs"
    assert from_environment("postgresql:///mine", environ).database_url == "postgresql:///mine"


def test_an_empty_value_is_none() -> None:
    names = (
        *("DATABASE_URL", "DATA_DIR", "CACHE_DIR"),
        *("MAX_PIXELS", "MAX_BYTES", "MEMORY", "THREADS", "AHEAD"),
        "ALLOW_PRIVATE",
    )
    empty = {f"SPOCDB_{name}": "" for name in names}
    assert from_environment("", empty) == from_environment(environ={})


def test_folders_are_absolute_and_know_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mia")
    environ = {"SPOCDB_DATA_DIR": "~/data", "SPOCDB_CACHE_DIR": "cache"}
    settings = from_environment(environ=environ)
    assert settings.data_dir == Path("/home/mia/data")
    assert settings.cache_dir == Path.cwd() / "cache"


@pytest.mark.parametrize("name", ["max_pixels", "max_bytes", "memory", "threads", "ahead"])
def test_a_limit_is_a_number(name: str) -> None:
    settings = from_environment(environ={f"SPOCDB_{name.upper()}": "1000"})
    assert getattr(settings, name) == getattr(settings.limits, name) == 1000


def test_a_switch_is_0_or_1() -> None:
    assert from_environment(environ={"SPOCDB_ALLOW_PRIVATE": "1"}).allow_private
    assert not from_environment(environ={"SPOCDB_ALLOW_PRIVATE": "0"}).allow_private
    with pytest.raises(ConfigError, match="SPOCDB_ALLOW_PRIVATE must be 0 or 1, not 'yes'"):
        from_environment(environ={"SPOCDB_ALLOW_PRIVATE": "yes"})


def test_eight_images_a_thread_are_ahead_and_the_threads_are_the_cores() -> None:
    limits = from_environment(environ={}).limits
    assert (limits.threads, limits.ahead) == (machine.n_cores(), 8 * machine.n_cores())
    assert from_environment(environ={"SPOCDB_THREADS": "3"}).limits.ahead == 24


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "1e6", " 7", "²"])
@pytest.mark.parametrize("name", ["MAX_PIXELS", "MAX_BYTES", "MEMORY", "THREADS", "AHEAD"])
def test_a_limit_that_is_no_positive_number_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"SPOCDB_{name} must be a positive whole number"):
        from_environment(environ={f"SPOCDB_{name}": text})


def test_images_may_take_a_quarter_of_the_memory() -> None:
    memory = from_environment(environ={}).memory
    assert memory == max(LEAST_MEMORY, machine.memory() // 4)


def test_only_the_settings_look_at_the_environment() -> None:
    root = Path(__file__).parents[2]
    readers = [
        file.relative_to(root).as_posix()
        for tree in ("spocdb", "cli", "migrations")
        for file in sorted((root / tree).rglob("*.py"))
        if "os.environ" in file.read_text() or "getenv" in file.read_text()
    ]
    assert readers == ["spocdb/settings.py"]
