"""Conventions of all commands: formats, questions, dry runs, verbosity."""

import re
from pathlib import Path

import pytest

from tests.fixtures.opened import Database
from tests.fixtures.program import Run
from tests.integration.commands.lines import COMMANDS, assert_clean, words_for


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line_is_made_up_for_every_command(name: str, tmp_path: Path) -> None:
    words = words_for(name, tmp_path)
    assert words[: len(name.split())] == name.split()


def test_an_unknown_extractor_is_said_to_be_unknown(call: Run, workplace: Path) -> None:
    for words in (
        ["ingest", workplace, "-c", "new", "--extractor", "vgg91"],
        ["ingest", workplace, "--extractor", "vgg91"],
        ["reembed", "vgg91"],
    ):
        result = call(*words)
        assert_clean(result, str(words[0]))
        assert "unknown extractor 'vgg91'" in result.stderr and "mini" in result.stderr, result


def test_two_formats_at_once_are_refused(call: Run) -> None:
    both = [
        name
        for name, command in COMMANDS.items()
        if {"--json", "--csv"} <= {o for p in command.params for o in p.opts}
    ]
    assert "search" in both
    for name in both:
        result = call(*words_for(name, Path("/")), "--json", "--csv")
        assert (result.returncode, result.stdout) == (2, ""), name


def test_a_question_without_an_answer_ends_its_line(call: Run, workplace: Path) -> None:
    result = call("collections", "drop", "photos", input="")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "Drop the collection photos with 4 images? [y/N] ",
        "spocdb: no answer on stdin, so nothing was done: use --yes to skip the question",
    ]


def test_a_dry_run_changes_nothing(call: Run, workplace: Path, db: Database) -> None:
    call("pca", "fit", "--dim", "2")
    before = (db.collections(), db.pca.list())
    assert call("collections", "drop", "photos", "--dry-run").stdout == (
        "would drop photos with 4 images\n"
    )
    assert call("pca", "drop", "2", "--dry-run").stdout == "would drop projection 2\n"
    refused = call("pca", "drop", "1", "--dry-run")
    assert refused.returncode == 1 and "stays" in refused.stderr
    assert (db.collections(), db.pca.list()) == before


def test_quiet_says_errors_alone(call: Run, workplace: Path) -> None:
    loud, quiet = (call("search", "--id", "1", *more) for more in ([], ["-q"]))
    assert (quiet.stdout, quiet.stderr) == (loud.stdout, "")
    assert loud.stderr != ""
    assert call("ingest", workplace).stderr == "4 images: 4 unchanged\n"
    silent = call("ingest", workplace, "-q")
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    assert call("-q", "status").returncode == 2
    assert call("search", "--id", "99", "-q").stderr.startswith("spocdb: ")


def test_verbose_logs_steps_and_then_statements(call: Run, workplace: Path) -> None:
    once, twice = (call("search", "--id", "1", *more) for more in (["-v"], ["-vv"]))
    assert once.stdout == twice.stdout
    assert "spocdb.db.connections: connected to" in once.stderr
    assert "SELECT" not in once.stderr
    assert re.search(r"ms: SELECT \* FROM spocdb\.similar", twice.stderr)
    assert "SELECT" not in call("search", "--id", "1").stderr
