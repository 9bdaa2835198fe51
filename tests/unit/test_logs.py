"""What the library logs, as the command line shows it."""

import importlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest

log = logging.getLogger("spocdb.projections")
steps = logging.getLogger("spocdb.db.connections")
statements = logging.getLogger("spocdb.db.statements")


@pytest.fixture(scope="module")
def logs() -> Any:
    """Return the module; type checkers do not see where it is installed."""
    return importlib.import_module("spocdb.cli.logs")


@pytest.fixture
def be_quiet() -> Iterator[Any]:
    """Return the function behind -q, which is undone after the test."""
    output = importlib.import_module("spocdb.cli.output")
    yield output.be_quiet
    output.be_quiet(False)


def log_all() -> None:
    log.info("fitted projection %s", 2)
    log.warning("few images: a lower `dim=...`, postgresql://me:secret@here/db\x1b[2J")
    steps.debug("connected")
    statements.debug("SELECT")


def test_lines_for_a_person_stand_alone_and_in_words_of_the_command_line(
    logs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with logs.shown(0):
        log_all()
    log_all()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "fitted projection 2"
    assert second == r"few images: a lower --dim, postgresql://me:***@here/db\x1b[2J"


@pytest.mark.parametrize(
    ("verbose", "names"), [(1, ["connections"]), (2, ["connections", "statements"])]
)
def test_details_come_with_time_and_logger(
    logs: Any, capsys: pytest.CaptureFixture[str], verbose: int, names: list[str]
) -> None:
    with logs.shown(verbose):
        log_all()
    _, _, *details = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0].split(" ")[-1] for line in details] == [
        f"spocdb.db.{name}" for name in names
    ]
    assert all(line.startswith("20") for line in details)


def test_quiet_leaves_only_what_was_asked_for(
    logs: Any, be_quiet: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    be_quiet(True)
    with logs.shown(0):
        log_all()
    assert capsys.readouterr().err == ""


def test_a_command_chooses_who_speaks_and_by_which_voice(
    logs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    with logs.shown(1), logs.voice(lines.append):
        with logs.only("spocdb.db"):
            log.warning("nothing of this")
            logging.getLogger("spocdb.dbase").warning("nor of this")
            logging.getLogger("spocdb.db.watching").warning("of this")
        with logs.only():
            log.warning("nothing at all")
        log.info("of this too")
    assert lines == ["of this", "of this too"]
    assert capsys.readouterr().err == ""


def test_levels_and_handlers_are_as_before_when_a_command_ends(logs: Any) -> None:
    library = logging.getLogger("spocdb")
    before = (library.level, statements.level, library.handlers[:])
    with pytest.raises(KeyboardInterrupt), logs.shown(2):
        assert statements.isEnabledFor(logging.DEBUG)
        raise KeyboardInterrupt
    assert (library.level, statements.level, library.handlers[:]) == before


def test_the_library_prints_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    import spocdb.api  # noqa: F401

    assert any(isinstance(h, logging.NullHandler) for h in logging.getLogger("spocdb").handlers)
    log.warning("few images")
    assert capfd.readouterr().err == ""
