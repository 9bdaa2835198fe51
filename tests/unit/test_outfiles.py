"""Files are checked before the work, and replaced as a whole or not at all."""

import errno
from pathlib import Path

import pytest

from spocdb import outfiles
from spocdb.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", "a.txt: the name must end in .png or .jpg"),
        ("a", "a: the name must end in .png or .jpg"),
        ("none/a.png", "none/a.png: there is no folder .*none$"),
        ("file/a.png", "file/a.png: there is no folder .*file$"),
        ("folder.png", "folder.png: it is a folder"),
        ("device.png", "device.png: it is no regular file"),
    ],
)
def test_what_cannot_be_written_is_named_before_the_work(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=f"cannot write .*{message}"):
        outfiles.check(tmp_path / name, (".png", ".jpg"))


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.jpg"])
def test_what_can_be_written_is_not_refused(tmp_path: Path, name: str) -> None:
    outfiles.check(tmp_path / name, (".png", ".jpg"))
    assert [*tmp_path.iterdir()] == []


def test_a_file_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    file = tmp_path / ("a" * 251 + ".png")  # as long as a name may be
    file.write_text("old")
    with outfiles.replaced(file) as fresh:
        fresh.write_text("new")
        assert file.read_text() == "old"
    assert [(one, one.read_text()) for one in tmp_path.iterdir()] == [(file, "new")]


def test_a_link_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "a.png", tmp_path / "link.png"
    real.write_text("old")
    link.symlink_to(real)
    with outfiles.replaced(link) as fresh:
        fresh.write_text("new")
    assert link.is_symlink() and real.read_text() == "new"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "error in .0f3a.png"), "cannot write .*a.png: No space left on"),
        (OSError("encoder error"), "cannot write .*a.png: encoder error"),
    ],
)
def test_without_success_the_older_file_stays(tmp_path: Path, error: OSError, message: str) -> None:
    file = tmp_path / "a.png"
    file.write_text("old")
    with pytest.raises(ConfigError, match=message), outfiles.replaced(file) as fresh:
        fresh.write_text("half")
        raise error
    assert [(one, one.read_text()) for one in tmp_path.iterdir()] == [(file, "old")]
