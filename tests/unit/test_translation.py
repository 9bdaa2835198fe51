"""The command line translates the Python in the library's messages to options and commands."""

import importlib
from typing import Any

import pytest

from spocdb.errors import ConfigError, InvalidValue, SpocdbError


@pytest.fixture(scope="module")
def translation() -> Any:
    """Return the module; type checkers do not see where it is installed."""
    return importlib.import_module("spocdb.cli.translation")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a lower `dim=...`", "a lower --dim"),
        ("keep 80% (`dim=64`)", "keep 80% (--dim 64)"),
        ("fit on more, or with `whiten=False`", "fit on more, or with --no-whiten"),
        ("by `prune=True, prune_gone=True`", "by --prune --yes"),
        ("give a file with `weights=FILE`", "give a file with --weights FILE"),
        ("see `db.pca.list()`", "see `spocdb pca list`"),
        ("fit it again: `db.pca.fit(...)`", "fit it again: `spocdb pca fit`"),
        ("`db.ingest(FOLDER, prune=True)`", "`spocdb ingest FOLDER --prune`"),
        (
            "run `db.pca.activate(2, collection='my photos')`",
            "run `spocdb pca activate 2 --collection 'my photos'`",
        ),
        ("run `spocdb.db.doctor.fix(...)`", "run `spocdb db doctor --fix`"),
    ],
)
def test_python_becomes_options_and_commands(translation: Any, said: str, shown: str) -> None:
    assert translation.in_commands(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "`synchronous_commit = off` for the role",
        "`CREATE EXTENSION vector` is done",
        "there is no column `dim`",
        "there is no column `price=3`",
        "there is no column `dim=`",
        "`dim=3)(`",
        "`db.pca.list(`",
        "`db.pca.list(nothing=1)`",
        "`os.system('ls')`",
        f"`dim={'(' * 5000}`",
        "a lone ` and no more",
    ],
)
def test_what_is_no_advice_stays_as_it_is(translation: Any, said: str) -> None:
    assert translation.in_commands(said) == said


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (InvalidValue("alpha", 101, "0 to 100"), "--alpha must be 0 to 100, not 101"),
        (InvalidValue("regularisation", 3, "0 to 1"), "--regularisation must be 0 to 1, not 3"),
        (InvalidValue("per_class", 0, "positive"), "--per-class must be positive, not 0"),
        (ConfigError("train x is no folder", field="train"), "--train x is no folder"),
        (ConfigError("no image is that large", field="size"), "no image is that large"),
        (InvalidValue("max_bytes", 0, "positive"), "max_bytes must be positive, not 0"),
        (SpocdbError("a lower `size=...`"), "a lower --size"),
    ],
)
def test_an_error_names_the_option(translation: Any, error: SpocdbError, shown: str) -> None:
    assert translation.explained(error) == shown


def test_every_command_of_the_table_exists(translation: Any, app: Any) -> None:
    from typer.main import get_command

    root: Any = get_command(app)
    for words in translation.COMMANDS.values():
        command = root
        for word in words.split():
            if word.startswith("--"):
                assert word in {option for p in command.params for option in p.opts}
            else:
                command = command.commands[word]
