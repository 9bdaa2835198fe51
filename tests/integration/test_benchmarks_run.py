"""`python -m benchmarks` runs all its parts in one go: none meets what another one left."""

import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import data
from benchmarks.__main__ import Run
from benchmarks.record import Figure


@pytest.mark.slow
def test_only_the_database_s_parts_share_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(given: Run) -> list[Figure]:
        with given.db.engine.connection() as connection:
            found = len(given.db.collections())
            data.make_collection(connection, f"left {found}")
            # One of them makes a database with the extension.
            asked = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
            assert connection.execute(asked).fetchone() == (True,)
        return [Figure("collections found", found, "")]

    names = ("first", "database-a", "database-b", "last")
    for name in names:
        monkeypatch.setitem(program.PARTS, name, part)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *names, "--quick"])
    program.main()
    lines = capsys.readouterr().out.splitlines()
    found = [line.split()[2] for line in lines if line.startswith("collections found")]
    assert found == ["0", "0", "1", "0"]


def test_a_missing_browser_is_told_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--quick"])
    with pytest.raises(SystemExit, match="2"):
        program.main()
    told = capsys.readouterr()
    assert "grid needs a browser: apt-get install chromium" in told.err and not told.out
