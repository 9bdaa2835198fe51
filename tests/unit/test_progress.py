"""The progress of an ingest: counts, and what a terminal shows."""

import json
import logging
import os
import pty
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, TextIO

import pytest

from spocdb.progress import Progress

MODULE = import_module("spocdb.cli.progress")
Display = MODULE.Display


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
    now = progress(seconds=2.0, left_out=Counter({"raw": 2}))
    numbers = json.loads(json.dumps(now.as_dict()))
    assert numbers["waited"].keys() == {"decode", "network", "write"}
    assert numbers["images_per_second"] == 3.0
    assert {"n_seen", "n_new", "n_reused", "n_unchanged", "n_failed", "n_pruned"} <= numbers.keys()
    assert numbers["left_out"] == {"raw": 2}
    assert not {"began", "doing", "n_decoded", "n_computed"} & numbers.keys()


def test_without_a_terminal_it_is_summed_up_once_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = Display(int)
    display.update(progress(seconds=1.0))
    display.close()
    display.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "9 images: 4 new, 2 already known, 1 failed; 6.0 images/s, slowest step: reading images\n"
    )


def test_a_run_that_only_forgot_images_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(int)
    display.update(Progress(n_pruned=17, seconds=1.0))
    display.close()
    assert capsys.readouterr().err == "17 images pruned, as their files are gone\n"


def test_a_run_that_did_not_begin_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Display(int).close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("line", ["[red]not markup[/red] :smile:", "wide " * 60])
def test_a_line_is_said_as_it_is(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(int)
    display.say(line)
    display.close()
    assert capsys.readouterr().err == f"{line}\n"


@contextmanager
def terminal() -> Iterator[tuple[TextIO, Callable[[], str]]]:
    """Open a terminal; yield the program's end, and a function that returns what was shown."""
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # Linux raises this at the end
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


def test_on_a_terminal_there_is_a_bar_and_what_is_logged_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    logs, running = (import_module(f"spocdb.cli.{name}") for name in ("logs", "running"))
    with terminal() as (stream, close):
        monkeypatch.setattr(sys, "stderr", stream)
        with logs.shown(0), running.display(lambda: 9) as display:
            display.update(progress(seconds=1.0))
            logging.getLogger("spocdb.storing").warning("something beside")
        shown = close()
    # The bar is wiped, the line ends, and the bar is drawn again below it.
    assert "\x1b[2Ksomething beside\r\n" in shown
    assert "6.0 images/s" in shown
    assert "7/9 " in shown and "1 failed, " in shown and "slowest step: reading images" in shown
    assert "9 images: 4 new" in shown.splitlines()[-1]


def screen(monkeypatch: pytest.MonkeyPatch, columns: int, *steps: Progress | str) -> list[str]:
    """Return the lines that a terminal of this width showed, without colours and blanks."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with terminal() as (stream, close):
        monkeypatch.setattr(sys, "stderr", stream)
        display = Display(lambda: 15_000, "opening the database")
        for step in steps:
            display.doing(step) if isinstance(step, str) else display.update(step)
            if display._counting:
                display._counting.join()
            display._show()
            display._bar.refresh()
        display.close()
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", close())
    return [line.strip() for line in re.split(r"[\r\n]+", shown) if line.strip()]


@pytest.mark.parametrize("columns", [60, 120])
def test_the_bar_says_what_it_waits_for_from_the_first_moment(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    lines = screen(monkeypatch, columns, Progress(doing="loading the network"), Progress(n_seen=9))
    assert lines[0].endswith("opening the database")
    # The time left is unknown at first, and the bar shows that after half a second.
    assert any(re.search(r"0/15,000 (-:--:--)? ?loading the network$", line) for line in lines)
    assert any(line.endswith("waiting for the first image") for line in lines)


def test_a_narrow_terminal_keeps_count_and_time_and_drops_the_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = progress(n_new=12_000, n_seen=15_000, n_failed=1234)
    for columns in (40, 60, 120):
        lines = screen(monkeypatch, columns, now)
        (bar,) = {line for line in lines if "13,236/15,000" in line}
        assert len(bar) <= columns
        assert re.search(r"13,236/15,000 (-:--:--|\d:\d\d:\d\d)", bar)
        assert ("1,234 failed" in bar) == (columns > 40)
        assert ("slowest step: reading images" in bar) == (columns == 120)
        # Words are dropped, never cut.
        assert re.search(r"(:--|:\d\d|failed|images/s|reading images)$", bar)


def test_images_on_their_way_move_the_bar_and_it_never_goes_back() -> None:
    now = Progress(n_new=64, n_decoded=10, n_computed=0)
    assert now.n_shown == 69
    now.computed(10)
    assert now.n_shown == 74
    now.arrived(10, 10)
    assert (now.n_shown, now.n_done) == (64, 64)


def test_what_was_left_out_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(int)
    display.update(progress(n_moved=2, left_out=Counter({"raw": 3, "hidden": 1})))
    display.close()
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("9 images: 4 new, 2 moved, 1 failed")
    assert last == "left out: 3 raw, 1 hidden"


def test_without_a_terminal_a_line_says_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MODULE, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(MODULE, "SECONDS_OF_WAITING", 0.0)
    said, lines = threading.Event(), list[str]()

    def note(display: Any, line: str) -> None:
        lines.append(line)
        said.set()

    monkeypatch.setattr(Display, "say", note)
    display = Display(lambda: 9, "opening the database")
    assert said.wait(30)
    assert lines[0] == "opening the database"
    display._counting.join()
    display.update(progress())
    said.clear()
    assert said.wait(30)
    display.close()
    assert lines[-2].startswith("7/9 images, 1 failed, ")
