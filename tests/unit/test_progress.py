"""How far an ingest is, as numbers and as a person sees it."""

import json
import os
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, TextIO

import pytest

from spocdb.progress import Progress

Display = import_module("spocdb.cli.progress").Display


def progress(**numbers: Any) -> Progress:
    return Progress(**{"n_seen": 9, "n_new": 4, "n_reused": 2, "n_failed": 1, **numbers})


def test_counts_and_rates() -> None:
    now = progress(n_unchanged=2, seconds=3.0)
    assert (now.n_done, now.n_stored, now.per_second) == (9, 6, 2.0)


def test_nothing_in_no_time_is_no_division_by_zero() -> None:
    assert Progress().per_second == 0


def test_it_is_limited_by_the_stage_that_it_waited_for_most() -> None:
    assert progress(waited={"decode": 1.0, "network": 3.0, "write": 2.0}).limited_by == "network"


def test_as_json_it_has_every_count_and_the_seconds_by_stage() -> None:
    numbers = json.loads(json.dumps(progress(seconds=2.0).as_dict()))
    assert numbers["waited"].keys() == {"decode", "network", "write"}
    assert numbers["images_per_second"] == 3.0
    assert {"n_seen", "n_new", "n_reused", "n_unchanged", "n_failed", "n_pruned"} <= numbers.keys()
    assert "began" not in numbers


def test_without_a_terminal_it_is_summed_up_once_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = Display(int)
    display.update(progress(seconds=1.0))
    display.close()
    display.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "9 images: 4 new, 2 reused, 1 failed; 6.0 images/s, limited by the decode stage\n"


def test_a_run_that_did_not_begin_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Display(int).close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("line", ["[red]not markup[/red] :smile:", "wide " * 60])
def test_a_line_is_said_as_it_is(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    Display(int).say(line)
    assert capsys.readouterr().err == f"{line}\n"


@contextmanager
def terminal() -> Iterator[tuple[TextIO, Callable[[], str]]]:
    """Open a terminal; yield its end for a program, and a function that tells what it showed."""
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # what Linux says at the end
            while block := os.read(ours, 4096):
                shown.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    with open(theirs, "w") as stream:

        def close() -> str:
            stream.close()
            reader.join()
            return shown.decode()

        yield stream, close
    os.close(ours)


def test_on_a_terminal_there_is_a_bar_and_lines_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with terminal() as (stream, close):
        monkeypatch.setattr(sys, "stderr", stream)
        display = Display(lambda: 9)
        display.update(progress(seconds=1.0))
        display.say("something beside")
        display.close()
        shown = close()
    assert "something beside" in shown
    assert "6.0 images/s" in shown
    assert "1 failed, limited by the decode stage" in shown
    assert "9 images: 4 new" in shown.splitlines()[-1]
