import os
from pathlib import Path

import pytest

from spocdb.errors import ConfigError, ImageVanished
from spocdb.images.sources import is_there, printable, read, storable, walk
from spocdb.records import SourceFile


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def found(root: Path, *given: str, recursive: bool = True) -> list[str]:
    files = walk([root / name for name in given], recursive)
    return [os.path.relpath(file.path, root) for file in files]


def test_a_folder_gives_its_images_in_a_fixed_order(tmp_path: Path) -> None:
    make(
        tmp_path,
        "b/2.PNG",
        "b/10.jpeg",
        "a.jpg",
        "c.tiff",
        "notes.txt",
        "jpg",
        "b/d/x.webp",
        "a/y.gif",
    )
    expected = ["a.jpg", "c.tiff", "a/y.gif", "b/10.jpeg", "b/2.PNG", "b/d/x.webp"]
    assert found(tmp_path, ".") == expected


def test_without_recursion_subfolders_are_left_alone(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b/c.jpg")
    assert found(tmp_path, ".", recursive=False) == ["a.jpg"]


def test_hidden_files_and_folders_are_skipped_unless_given(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "._a.jpg", ".cache/b.jpg")
    assert found(tmp_path, ".") == ["a.jpg"]
    assert found(tmp_path, ".", ".cache", "._a.jpg") == ["a.jpg", "._a.jpg", ".cache/b.jpg"]


def test_a_file_given_by_name_needs_no_suffix(tmp_path: Path) -> None:
    make(tmp_path, "scan", "a.jpg")
    assert found(tmp_path, ".", "scan") == ["a.jpg", "scan"]


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    make(tmp_path, "real/a.jpg")
    (tmp_path / "real/loop").symlink_to(tmp_path)
    (tmp_path / "real/b.jpg").symlink_to(tmp_path / "real/a.jpg")
    assert found(tmp_path, ".") == ["real/a.jpg", "real/b.jpg"]
    assert found(tmp_path, ".", "real/loop/real") == [
        "real/a.jpg",
        "real/b.jpg",
        "real/loop/real/a.jpg",
        "real/loop/real/b.jpg",
    ]


@pytest.mark.parametrize(
    ("recursive", "expected"),
    [(True, ["a.jpg", "b/c.jpg", "b/d/e.jpg"]), (False, ["a.jpg", "b/c.jpg"])],
)
def test_overlapping_paths_give_each_file_once(
    tmp_path: Path, recursive: bool, expected: list[str]
) -> None:
    make(tmp_path, "a.jpg", "b/c.jpg", "b/d/e.jpg")
    given = (".", "b", "a.jpg", "b/c.jpg", "./b/../b")
    assert found(tmp_path, *given, recursive=recursive) == expected


def test_a_missing_path_is_an_error_before_anything_is_given(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    with pytest.raises(ConfigError, match=r"nowhere"):
        walk([tmp_path, tmp_path / "nowhere"], recursive=True)


def test_a_folder_that_cannot_be_listed_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match=r"Permission denied\): make the folder readable"):
        list(walk([tmp_path], recursive=True))


def test_pipes_are_skipped_and_links_to_nothing_are_given(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    (file,) = walk([tmp_path], recursive=True)
    assert (file.path, file.size) == (str(tmp_path / "gone.jpg"), 0)
    with pytest.raises(ImageVanished, match="No such file"):
        read(file, 1000)


def test_a_source_carries_size_time_and_bytes(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_234_567_891))
    (file,) = walk([tmp_path], recursive=True)
    assert file == SourceFile(str(tmp_path / "a.jpg"), size=5, mtime_ns=1_234_567_891)
    assert read(file, 1000) == b"a.jpg"


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert [file.path for file in walk([Path("a.jpg")], recursive=True)] == [
        str(tmp_path / "a.jpg")
    ]


def test_a_name_that_is_not_utf8_is_given_and_can_be_printed(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "wb"):
        pass
    (file,) = walk([tmp_path], recursive=True)
    assert not storable(file.path)
    assert printable(file.path) == f"{tmp_path}/caf\\udce9.jpg"
    assert read(file, 1000) == b""


def test_other_names_are_storable_and_printed_as_they_are() -> None:
    assert storable("/photos/café 😀.jpg")
    assert printable("/photos/café 😀.jpg") == "/photos/café 😀.jpg"


def test_what_may_not_be_looked_at_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.jpg")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    assert is_there(str(tmp_path / "a.jpg"))
    assert not is_there(str(tmp_path / "b.jpg"))
    assert not is_there(str(tmp_path / "a.jpg" / "b.jpg"))
    # Root may look at everything, so the system's answer to others is put in its mouth.
    monkeypatch.setattr(os, "lstat", refuse)
    assert is_there(str(tmp_path / "b.jpg"))
