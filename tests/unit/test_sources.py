import os
import socket
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError, ImageVanished
from spocdb.images import declarations
from spocdb.images.declarations import Format
from spocdb.images.formats import FORMATS
from spocdb.records import Choice, ImageRef
from spocdb.sources import kinds, names
from spocdb.sources.files import FilesSource, modified, read
from spocdb.sources.kinds import LeftOut
from spocdb.sources.names import is_there, printable, storable
from spocdb.sources.source import Terms, check_any, locate
from spocdb.sources.walking import walk
from spocdb.text import LONGEST_KEY


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def found(root: Path, *given: str, recursive: bool = True, **options: Any) -> list[str]:
    paths = walk([root / name for name in given], recursive, **options)
    return [os.path.relpath(path, root) for path in paths]


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
    (ref,) = FilesSource([tmp_path]).refs()
    assert ref == ImageRef(str(tmp_path / "gone.jpg"))
    with pytest.raises(ImageVanished, match="No such file"):
        read(ref.name, 1000)


def test_a_files_version_is_its_time_and_size(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_234_567_891))
    source = FilesSource([tmp_path])
    (ref,) = source.refs()
    assert ref == ImageRef(str(tmp_path / "a.jpg"), "1234567891 5", size=5)
    assert locate(source, ref.name)(1000) == b"a.jpg"
    when = modified(ref.version)
    assert when is not None and when.timestamp() == 1
    assert modified("") is None
    # A time in the year 30000, which a file system may have.
    late = 10**9 * 884_541_351_600
    assert modified(f"{late} 5") is None


def test_a_source_covers_what_is_below_its_paths_and_asks_the_disk(tmp_path: Path) -> None:
    make(tmp_path, "in/a.jpg", "inside.jpg")
    source = FilesSource([tmp_path / "in", tmp_path / "inside.jpg"])
    covered = ("in/a.jpg", "in/gone.jpg", "inside.jpg", "inside.jpg/x", "inside.png")
    assert [source.covers(str(tmp_path / name)) for name in covered] == [True] * 4 + [False]
    assert source.exists(str(tmp_path / "in/a.jpg"))
    assert not source.exists(str(tmp_path / "in/gone.jpg"))


def test_paths_that_are_gone_or_hold_no_image_are_told_and_can_be_left_out(tmp_path: Path) -> None:
    make(tmp_path, "full/a.jpg", "empty/a.txt", "deep/below/a.jpg")
    names_of = [tmp_path / name for name in ("full", "empty", "gone", "deep")]
    source = FilesSource(names_of)
    assert list(source.empty_roots()) == [
        (str(tmp_path / "empty"), True),
        (str(tmp_path / "gone"), False),
    ]
    left = source.without([str(tmp_path / "gone")])
    assert [os.path.basename(ref.name) for ref in left.refs()] == ["a.jpg", "a.jpg"]
    flat = FilesSource([tmp_path / "deep"], Terms(Choice(recursive=False)))
    assert [root for root, _ in flat.empty_roots()] == [str(tmp_path / "deep")]


def test_a_source_without_images_is_refused_with_what_is_there_instead(tmp_path: Path) -> None:
    make(tmp_path, "a.heics", "b/c.txt", "b/d.mp3")
    with pytest.raises(ConfigError, match=r"no images under .*: left out 1 \.mp3, 1 \.txt$"):
        check_any(FilesSource([tmp_path / "b"]))
    make(tmp_path, "b/e.jpg")
    check_any(FilesSource([tmp_path / "b"]))


def test_failed_files_are_found_again_by_their_stored_names(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(raw, "wb"):
        pass
    stored = [str(tmp_path / "a.jpg"), printable(os.fsdecode(raw)), str(tmp_path / "gone.jpg")]
    found = list(FilesSource().named([*stored, names.listed("/" + "x" * 9000)]))
    assert [ref.name for ref in found] == stored
    assert [ref.problem is None for ref in found] == [True, False, True]
    assert [bool(ref.version) for ref in found] == [True, True, False]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert list(walk([Path("a.jpg")], recursive=True)) == [str(tmp_path / "a.jpg")]


def test_a_name_that_is_not_utf8_is_given_and_can_be_printed(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "wb"):
        pass
    (path,) = walk([tmp_path], recursive=True)
    assert not storable(path)
    assert printable(path) == f"{tmp_path}/caf\\udce9.jpg"
    assert read(path, 1000) == b""
    (ref,) = FilesSource([tmp_path]).refs()
    assert ref.name == printable(path)
    assert str(ref.problem) == "the file's name is not UTF-8: rename it"


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
    # Tests may run as root, who may read everything, so the system's refusal is simulated.
    monkeypatch.setattr(os, "lstat", refuse)
    assert is_there(str(tmp_path / "b.jpg"))


PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


def left_out(root: Path, **options: Any) -> dict[str, int]:
    """Return the counts of files that a walk leaves out, by kind."""
    counted = LeftOut()
    list(walk([root], **{"recursive": True, "left_out": counted, **options}))
    return dict(counted)


def test_what_a_walk_leaves_out_is_counted_by_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declarations, "is_installed", lambda package: False)
    make(tmp_path, "a.jpg", "b.HEIC", "c.heif", "d.cr2", "d.NEF", "d.dng", "e.mp4", "e.MOV")
    make(tmp_path, "f.zip", "g.txt", "h", ".i", ".j/k.jpg", "l/m.psd", "l/n.pdf", "o.jxl")
    (tmp_path / "linked").symlink_to(tmp_path / "l")
    (tmp_path / "to itself.txt").symlink_to(tmp_path / "to itself.txt")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
    counted = left_out(tmp_path)
    assert counted == {
        **{".heic": 1, ".heif": 1, ".cr2": 1, ".nef": 1, ".dng": 1, ".mp4": 1, ".mov": 1},
        **{".zip": 1, ".psd": 1, ".pdf": 1, ".jxl": 1, ".txt": 2},
        **{kinds.UNNAMED: 1, kinds.LINKED: 1, kinds.SPECIAL: 2, kinds.HIDDEN: 2},
    }
    told = kinds.told({".cr3": 12, **counted})
    assert told == (
        "12 .cr3 (pip install 'spocdb[raw]'), 1 .cr2 (pip install 'spocdb[raw]'), "
        "1 .dng (pip install 'spocdb[raw]'), 1 .heic (pip install 'spocdb[heif]'), "
        "1 .heif (pip install 'spocdb[heif]'), 1 .jxl (pip install 'spocdb[jxl]'), "
        "1 .mov (pip install 'spocdb[video]'), 1 .mp4 (pip install 'spocdb[video]'), "
        "1 .nef (pip install 'spocdb[raw]'), 1 .pdf (pip install 'spocdb[pdf]'), "
        "4 of 3 other extensions, "
        "1 file without an extension (`all_files=True` looks into them), "
        "1 linked folder (`follow_links=True`), 2 special files, 2 hidden"
    )
    few = {".cr3": 12, ".txt": 3, ".zip": 1}
    assert kinds.told(few) == (
        "12 .cr3 (pip install 'spocdb[raw]'), 1 .zip (name it to read it), 3 .txt"
    )
    assert kinds.installs(few) == {".cr3": "pip install 'spocdb[raw]'"}
    assert left_out(tmp_path, recursive=False)[kinds.SUBFOLDER] == 1


def test_nothing_left_out_is_no_word() -> None:
    assert kinds.told(LeftOut()) == ""


def test_files_of_many_extensions_are_counted_and_told_within_bounds(tmp_path: Path) -> None:
    n_files = 2 * kinds.MOST_EXTENSIONS
    make(tmp_path, *(f"a.{n:03}" for n in range(n_files)), "b.too long for one", "c.d'e")
    counted = left_out(tmp_path)
    assert kinds.MOST_EXTENSIONS <= len(counted) <= kinds.MOST_EXTENSIONS + 1
    assert sum(counted.values()) == n_files + 2 and counted[kinds.OTHER] >= 100
    told = kinds.told(counted)
    assert " other extensions, " in told
    assert told.endswith(f"{counted[kinds.OTHER]} other files") and len(told) < 200


@pytest.mark.parametrize(
    "format", [format for format in FORMATS if format.extra], ids=lambda format: format.name
)
def test_files_are_images_where_what_they_need_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    monkeypatch.setattr(declarations, "is_installed", lambda package: package == format.package)
    suffixes = format.suffixes.split()
    make(tmp_path, *(f"a{suffix.upper()}" for suffix in suffixes), "b.txt")
    assert len(found(tmp_path, ".")) == len(suffixes)
    monkeypatch.setattr(declarations, "is_installed", lambda package: package != format.package)
    counted = left_out(tmp_path)
    assert counted == {suffix: 1 for suffix in (*suffixes, ".txt")}
    assert set(kinds.installs(counted).values()) == {f"pip install 'spocdb[{format.extra}]'"}


def test_all_files_gives_what_begins_as_an_image_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "notes", "b.txt")
    # The last has a known suffix of another kind.
    for name in ("scan", "scan.1", "c.dat", "d.psd"):
        (tmp_path / name).write_bytes(PNG)
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path, ".") == ["a.jpg"]
    assert found(tmp_path, ".", all_files=True) == ["a.jpg", "c.dat", "scan", "scan.1"]
    assert found(tmp_path, ".", "scan", all_files=True).count("scan") == 1
    assert left_out(tmp_path, all_files=True) == {
        ".psd": 1,
        kinds.UNNAMED: 1,
        ".txt": 1,
        kinds.SPECIAL: 1,
    }


def test_linked_folders_are_followed_on_demand_each_folder_once(tmp_path: Path) -> None:
    inside, outside = make(tmp_path / "in", "a.jpg", "b/c.jpg", ".d/e.jpg"), tmp_path / "out"
    make(outside, "f.jpg", "g/h.jpg")
    (inside / "b" / "up").symlink_to(inside)
    (inside / "again").symlink_to(inside / "b")
    (inside / "hidden").symlink_to(inside / ".d")
    (inside / "out").symlink_to(outside)
    (inside / "out2").symlink_to(outside / "g")
    # It leads above both folders: only files that neither contains are new.
    (outside / "all").symlink_to(tmp_path)
    make(tmp_path, "beside.jpg")
    assert found(inside, ".", follow_links=True) == [
        *("a.jpg", "b/c.jpg", "hidden/e.jpg", "out/f.jpg", "out/g/h.jpg", "out/all/beside.jpg"),
    ]
    assert left_out(inside, follow_links=True) == {kinds.HIDDEN: 1}
    assert left_out(inside)[kinds.LINKED] == 5
    assert found(inside, ".", recursive=False, follow_links=True) == ["a.jpg"]


def test_a_path_that_no_index_holds_is_listed_by_its_beginning_and_a_hash(tmp_path: Path) -> None:
    longest = "/nowhere/" + "é" * ((LONGEST_KEY - 9) // 2)
    assert names.problem(longest + "x") is None
    assert names.listed(longest + "x") == longest + "x"
    first, second = (f"{longest}/{name}" for name in ("a.jpg", "b.jpg"))
    assert names.problem(first) == "the path has 2,005 bytes, of at most 2,000: shorten it"
    assert names.listed(first)[:200] == first[:200]
    assert names.listed(first) != names.listed(second)
    assert names.is_shortened(names.listed(first)) and not names.is_shortened(first)
    # Only its folder can be checked.
    assert not names.is_there(names.listed(first))
    assert names.is_there(names.listed(f"{tmp_path}/{'x' * 3000}"))
