"""Images in tar and zip files: in order, and at random."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spocdb import records
from spocdb.errors import ConfigError, ImageTooLarge, ImageVanished
from spocdb.records import ImageRef
from spocdb.sources import digests, kinds, walkers
from spocdb.sources.archives import archive_of
from spocdb.sources.digests import Names
from spocdb.sources.opening import expanded, opened
from spocdb.sources.source import check_any, locate
from tests.fixtures.archived import CONTENTS, Contents, pack, read, source_of

Pack = Callable[[Path, Contents], None]
IMAGES = ["0001.jpg", "0002.jpg", "below/0003.png", "0004.jpg"]


@pytest.fixture(params=["a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a.zip", "A.TAR"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = str(request.param)
    return pack(tmp_path / name.lower(), CONTENTS).rename(tmp_path / name)


def test_an_archive_is_a_folder(archive: Path) -> None:
    source = source_of(archive)
    refs = list(source.refs())
    assert [ref.name for ref in refs] == [f"{archive}/{name}" for name in IMAGES]
    assert [ref.size for ref in refs] == [5, 6, 5, 0]
    assert len({ref.version for ref in refs}) == 4
    assert dict(source.left_out) == {kinds.HIDDEN: 1, ".md": 1}
    left_out = {kinds.HIDDEN: 1, ".md": 1}
    version = refs[0].version.rsplit(" ", 2)[0]
    assert list(source.whole) == [records.Contents(str(archive), version, 4, left_out)]
    # Nothing of it is listed while all of it is known.
    source = source_of(archive)
    assert list(source.refs(lambda found: found.version == version)) == []
    assert source.exists(f"{archive}/0001.jpg") and not source.whole
    assert len(list(source.refs(lambda found: found.version != version))) == 4
    streamed = list(source.stream(iter(refs)))
    assert [(ref.name, ref.version, ref.size) for ref, _ in streamed] == [
        (ref.name, ref.version, ref.size) for ref in refs
    ]
    # Also after the source has gone on, and in any order.
    assert [get(10) for _, get in reversed(streamed)] == [b"", b"third", b"second", b"first"]
    assert [dict(ref.metadata) for ref, _ in streamed] == [
        {"caption": "a\ufffdb", "n": 1, "deep": {"x": [1]}},
        {"cls": 7, "txt": "two words"},
        {},
        {},
    ]
    with pytest.raises(ImageTooLarge, match="raise SPOCDB_MAX_BYTES"):
        streamed[0][1](4)


def test_stored_names_are_found_in_any_order(archive: Path) -> None:
    source = opened([])
    for name in [*reversed(IMAGES), *IMAGES]:
        assert locate(source, f"{archive}/{name}")(10) == CONTENTS[name]
    with pytest.raises(ImageVanished, match="no such member"):
        locate(source, f"{archive}/0005.jpg")
    with pytest.raises(ImageVanished, match="No such file"):
        locate(source, str(archive.parent / "gone.tar" / "a.jpg"))
    assert source.exists(f"{archive}/0001.jpg")
    assert not source.exists(f"{archive}/0005.jpg")
    assert not source.exists(str(archive.parent / "gone.tar" / "a.jpg"))
    again = source.named([f"{archive}/0002.jpg", str(archive)])
    assert [Path(ref.name).name for ref in again] == ["0002.jpg", *map(os.path.basename, IMAGES)]


def test_a_source_covers_its_archives_and_finds_those_that_are_gone(tmp_path: Path) -> None:
    full, empty = pack(tmp_path / "full.tar", CONTENTS), pack(tmp_path / "empty.tar", {})
    source = opened([full, empty, tmp_path / "gone.zip"])
    assert source.covers(f"{full}/x.jpg") and not source.covers(f"{full}.jpg")
    assert list(source.empty_roots()) == [
        (str(empty), True),
        (str(tmp_path / "gone.zip"), False),
    ]
    with pytest.raises(ConfigError, match=r"no such file or folder: .*gone\.zip"):
        source.refs()
    assert len(list(source.without([str(tmp_path / "gone.zip")]).refs())) == 4
    check_any(source.without([str(tmp_path / "gone.zip")]))
    with pytest.raises(ConfigError, match=r"there are no images under .*empty\.tar$"):
        check_any(opened([empty]))


def test_folders_may_be_called_like_archives(tmp_path: Path) -> None:
    folder = tmp_path / "photos.zip"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    inside = pack(folder / "b.tar", {"b.jpg": b"b"})
    assert archive_of(str(folder / "a.jpg")) is None
    assert archive_of(f"{inside}/b.jpg") == str(inside)
    source = opened([folder, inside])
    assert sorted(read(source).values(), key=str) == [b"a", b"b"]
    assert source.left_out[".tar"] == 1


def test_ranges_stand_for_their_numbers(tmp_path: Path) -> None:
    assert list(expanded("s-{08..10}.tar")) == ["s-08.tar", "s-09.tar", "s-10.tar"]
    assert list(expanded("{2..1}/{0..1}")) == ["2/0", "2/1", "1/0", "1/1"]
    literal = tmp_path / "{0..1}.tar"
    literal.touch()
    assert list(expanded(str(literal))) == [str(literal)]
    with pytest.raises(ConfigError, match="stands for 1,000,001 names, of at most 100,000"):
        list(expanded("{0..1000000}"))
    for n in range(2):
        pack(tmp_path / f"s-{n}.tar", {f"{n}.jpg": b"x"})
    assert len(read(opened([tmp_path / "s-{0..1}.tar"]))) == 2


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_of_a_repeated_name_the_first_is_read_and_the_others_are_counted(
    tmp_path: Path, suffix: str
) -> None:
    archive = tmp_path / f"a{suffix}"
    contents = [("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"), ("./a.jpg", b"4")]
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened_zip, pytest.warns(UserWarning, match="Dup"):
            for name, data in contents:
                opened_zip.writestr(name, data)
    else:
        with tarfile.open(archive, "w:gz" if suffix == ".tar.gz" else "w:") as tar:
            for name, data in contents:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    source = source_of(archive)
    assert list(read(source).values()) == [b"1", b"2"]
    assert source.left_out[kinds.REPEATED] == 2
    assert kinds.told(source.left_out) == "2 repeated names"


def test_samples_are_bounded(tmp_path: Path) -> None:
    contents = {f"IMG.{n:03}.jpg": b"%d" % n for n in range(100)} | {"IMG.json": b'{"a": 1}'}
    source = source_of(pack(tmp_path / "a.tar.gz", contents))
    streamed = list(source.stream(source.refs()))
    assert [get(10) for _, get in streamed] == [b"%d" % n for n in range(100)]
    assert [bool(ref.metadata) for ref, _ in streamed] == [False] * 96 + [True] * 4


def test_what_was_not_remembered_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walkers, "MOST_KEPT", 1)
    archives = [pack(tmp_path / f"{n}.tar", CONTENTS) for n in range(4)]
    source = source_of(*archives)
    refs = list(source.refs())
    expected = {ref.name: CONTENTS[ref.name.split(".tar/")[1]] for ref in refs}
    assert read(source, refs[::-1]) == expected
    assert read(source, refs[::4] + refs[1::4] + refs[2::4] + refs[3::4]) == expected


def test_an_archive_is_walked_once_for_all_names_that_it_has_not(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walkers, "MOST_KEPT", 1)
    walks: list[str] = []

    def walk(*arguments: Any) -> Iterator[walkers.Found]:
        walks.append("begun")
        return begin(*arguments)

    begin = walkers._walk
    monkeypatch.setattr(walkers, "_walk", walk)
    asked = [f"{archive}/{name}" for name in (*[f"gone-{n}.jpg" for n in range(9)], IMAGES[-1])]
    *gone, last = read(source_of(), map(ImageRef, asked)).values()
    assert last == CONTENTS[IMAGES[-1]] and len(walks) <= 2
    assert {str(error) for error in gone} == {"the archive has no such member any more"}


def test_of_a_repeated_name_the_first_is_found_in_any_order(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in (("a.jpg", b"first"), ("b.jpg", b"other"), ("a.jpg", b"second")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    refs = [ImageRef(f"{archive}/{name}.jpg") for name in "ba"]
    assert list(read(source_of(), refs).values()) == [b"other", b"first"]


def test_descriptors_are_closed_when_nothing_needs_them(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", CONTENTS)

    def n_open() -> int:
        links = (Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
        return sum(os.path.realpath(link) == str(archive) for link in links)

    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no /proc")
    source = source_of(archive)
    ((_, get),) = source.stream([ImageRef(f"{archive}/0001.jpg")])
    del source
    assert get(10) == b"first" and n_open() == 1
    del get
    assert n_open() == 0


def test_names_are_known_by_their_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "RUN", 10)
    monkeypatch.setattr(digests, "LONGEST", 40)
    names = Names()
    assert all(names.add(f"{n}.jpg") for n in range(95))
    assert not any(names.add(f"{n}.jpg") for n in range(95))
    assert (len(names), "94.jpg" in names, "95.jpg" in names) == (95, True, False)
    # Each run is searched, so there are few.
    assert [len(run) for run in names._runs] == [40, 40, 10]
