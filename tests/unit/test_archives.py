"""Images in tar and zip files: in order, at random, and in archives that lie."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from spocdb.errors import (
    ConfigError,
    ImageError,
    ImageTooLarge,
    ImageVanished,
    UnreadableImage,
)
from spocdb.records import ImageRef
from spocdb.sources import digests, kinds, members, walkers, zips
from spocdb.sources.archives import ArchivesSource, archive_of
from spocdb.sources.digests import Names
from spocdb.sources.opening import expanded, opened
from spocdb.sources.source import Given, Terms, check_any, locate

Contents = dict[str, bytes]
Pack = Callable[[Path, Contents], None]

CONTENTS = {
    "0001.jpg": b"first",
    "0001.json": b'{"caption": "a\\u0000b", "n": 1, "deep": {"x": [1]}}',
    "0002.cls": b"7\n",
    "0002.jpg": b"second",
    "0002.txt": b" two words ",
    "below/0003.png": b"third",
    "below/0003.json": b"[1]",
    "0004.jpg": b"",
    "notes.md": b"text",
    "._0001.jpg": b"of macOS",
}
IMAGES = ["0001.jpg", "0002.jpg", "below/0003.png", "0004.jpg"]


def tar_bytes(contents: Contents) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def pack(path: Path, contents: Contents) -> Path:
    """Write an archive of the format that its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, data in contents.items():
                opened.writestr(name, data)
        return path
    packed = {
        ".tar": lambda data: data,
        ".gz": gzip.compress,
        ".tgz": gzip.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }[path.suffix](tar_bytes(contents))
    path.write_bytes(packed)
    return path


def read(source: Given, refs: Iterable[ImageRef] | None = None) -> dict[str, bytes | ImageError]:
    """Return what the source gives for each image: its bytes, or its problem."""
    found: dict[str, bytes | ImageError] = {}
    for ref, get in source.stream(source.refs() if refs is None else refs):
        try:
            found[ref.name] = ref.problem or get(10**6)
        except ImageError as error:
            found[ref.name] = error
    return found


def source_of(*paths: Path, max_bytes: int = 10**6) -> ArchivesSource:
    return ArchivesSource([str(path) for path in paths], Terms(max_bytes=max_bytes))


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
    assert dict(source.left_out) == {kinds.HIDDEN: 1, kinds.OTHER: 1}
    assert list(source.whole) == [str(archive)]
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
    assert source.left_out["archive"] == 1


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
def test_names_that_lead_elsewhere_or_cannot_be_stored_are_failures(
    tmp_path: Path, suffix: str
) -> None:
    names = ["../up.jpg", "a/../../b.jpg", "/etc/c.jpg", "./d//e.jpg", "x" * 3000 + ".jpg"]
    archive = pack(tmp_path / f"a{suffix}", dict.fromkeys(names, b"x"))
    found = {name[len(str(archive)) + 1 :]: got for name, got in read(source_of(archive)).items()}
    assert found.pop("etc/c.jpg") == found.pop("d/e.jpg") == b"x"
    assert str(found.pop("../up.jpg")) == "its name leads out of the archive"
    assert str(found.pop("a/../../b.jpg")) == "its name leads out of the archive"
    ((_, error),) = found.items()
    assert "bytes, of at most" in str(error)


def test_names_with_nul_or_other_encodings_are_failures(tmp_path: Path) -> None:
    odd = tarfile.TarInfo("odd.jpg")
    odd.pax_headers = {"path": "a\0b.jpg"}
    latin = tarfile.TarInfo("caf\udce9.jpg")
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(odd)
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(latin)
    found = read(source_of(tmp_path / "a.tar", tmp_path / "b.tar"))
    assert [(Path(name).name, str(error)) for name, error in found.items()] == [
        ("a\ufffdb.jpg", "its name in the archive has a NUL"),
        ("caf\\udce9.jpg", "the file's name is not UTF-8: rename it"),
    ]


def test_links_devices_and_sparse_members_are_failures(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, type_, target in (
            ("link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.jpg", tarfile.LNKTYPE, "a.jpg"),
            ("device.jpg", tarfile.CHRTYPE, ""),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = type_, target
            tar.addfile(member)
    sparse = tarfile.TarInfo("sparse.jpg")
    sparse.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**12)}
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(sparse)
    found = read(source_of(tmp_path / "a.tar", tmp_path / "b.tar"))
    assert [str(error).partition(":")[0] for error in found.values()] == [
        "it is a link to /etc/passwd",
        "it is a link to a.jpg",
        "it is no regular file",
        "it is no regular file",
        "it is stored sparse",
    ]


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


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst"])
def test_a_tar_that_is_cut_off_gives_what_is_before_and_a_failure(
    tmp_path: Path, suffix: str
) -> None:
    contents = {f"{n}.jpg": os.urandom(2000) for n in range(40)}
    archive = pack(tmp_path / f"a{suffix}", contents)
    whole = archive.read_bytes()
    names = [f"{archive}/{name}" for name in contents]
    for n_bytes in (len(whole) // 2, len(whole) // 2 + 700, 30 * 3 * 512, 100, 0):
        archive.write_bytes(whole[:n_bytes])
        source = source_of(archive)
        found = read(source)
        error = found.pop(str(archive))
        assert isinstance(error, UnreadableImage)
        assert str(error).startswith("the archive is damaged or cut off (")
        good = [name for name, got in found.items() if isinstance(got, bytes)]
        assert good == names[: len(good)] and len(found) - len(good) <= 1
        assert all(found[name] == contents[Path(name).name] for name in good)
        assert not source.whole
    archive.write_bytes(whole)
    assert len(read(source_of(archive))) == 40


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", {f"{n}.jpg": b"x" for n in range(5)})
    data = bytearray(archive.read_bytes())
    data[2048:2100] = b"?" * 52
    archive.write_bytes(data)
    found = read(source_of(archive))
    assert list(found)[:2] == [f"{archive}/0.jpg", f"{archive}/1.jpg"]
    assert "no end mark" in str(found[str(archive)])


def test_headers_that_ask_for_memory_or_go_back_are_damage(tmp_path: Path) -> None:
    greedy, backward = tmp_path / "greedy.tar", tmp_path / "backward.tar"
    member = tarfile.TarInfo("a.jpg")
    member.type, member.size = tarfile.XHDTYPE, 8 * 2**30
    # A sparse file, as large as it says.
    with open(greedy, "wb") as stream:
        stream.write(tar_bytes({"first.jpg": b"x"})[:1024] + member.tobuf(tarfile.GNU_FORMAT))
        stream.truncate(9 * 2**30)
    member = tarfile.TarInfo("a.jpg")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    backward.write_bytes(tar_bytes({"first.jpg": b"x"})[:1024] + header + bytes(10240))
    for archive in (greedy, backward):
        found = read(source_of(archive))
        assert found[f"{archive}/first.jpg"] == b"x"
        assert "damaged or cut off" in str(found[str(archive)])


def test_stated_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.jpg")
    member.size = 10**12
    (tmp_path / "a.tar").write_bytes(member.tobuf() + b"x" * 512)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(member.tobuf() + b"x" * 512))
    for name in ("a.tar", "a.tar.gz"):
        found = read(source_of(tmp_path / name))
        assert isinstance(found[f"{tmp_path / name}/a.jpg"], ImageTooLarge)
    member.size = 10**5
    (tmp_path / "a.tar").write_bytes(member.tobuf() + b"x" * 512)
    found = read(source_of(tmp_path / "a.tar"))
    assert "ends in the middle of it" in str(found[f"{tmp_path}/a.tar/a.jpg"])


def test_a_bomb_is_limited_by_what_it_states_and_by_what_it_gives(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"bomb.jpg": bytes(2 * 10**6), "b.jpg": bytes(1000)})
    found = read(source_of(archive))
    assert isinstance(found[f"{archive}/bomb.jpg"], ImageTooLarge)
    # It states less than it gives: no more is unpacked, and the checksum differs.
    data = archive.read_bytes()
    archive.write_bytes(data.replace((2 * 10**6).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    found = read(source_of(archive))
    assert "damaged in the archive" in str(found[f"{archive}/bomb.jpg"])
    assert found[f"{archive}/b.jpg"] == bytes(1000)


def test_encrypted_and_unknown_methods_are_failures(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", {"a.jpg": b"x"})
    data = archive.read_bytes()
    at = data.index(b"PK\x01\x02")
    archive.write_bytes(data[: at + 8] + b"\x01" + data[at + 9 :])
    assert "it is encrypted" in str(read(source_of(archive))[f"{archive}/a.jpg"])
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as opened_zip:
        opened_zip.writestr("a.jpg", b"x")
    assert "method other than deflate" in str(read(source_of(archive))[f"{archive}/a.jpg"])


def test_a_zip_without_a_directory_or_with_a_huge_one_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / "a.zip", CONTENTS)
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-30])
    assert "damaged or cut off" in str(read(source_of(archive))[str(archive)])
    archive.write_bytes(whole)
    monkeypatch.setattr(zips, "MOST_OF_DIRECTORY", 200)
    assert "a directory or header of" in str(read(source_of(archive))[str(archive)])


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_an_archive_that_changes_while_it_is_read_is_noticed(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"a{suffix}", CONTENTS)
    source = source_of(archive)
    refs = list(source.refs())
    ((_, get),) = source.stream(refs[:1])
    with open(archive, "ab") as stream:
        stream.write(b"more")
    with pytest.raises(ImageVanished, match="was changed while it was read"):
        get(100)
    # A new archive in its place does not disturb those who read the old one.
    pack(tmp_path / f"new{suffix}", {"0001.jpg": b"other"})
    (ref, get), *_ = source.stream(list(source_of(archive).refs()) or refs)
    (tmp_path / f"new{suffix}").rename(archive)
    assert ref.problem or get(100) == b"first"
    ((newer, get),) = source.stream(refs[:1])
    assert (get(100), newer.size) == (b"other", 5) and newer.version != refs[0].version


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
    names = Names()
    assert all(names.add(f"{n}.jpg") for n in range(95))
    assert not any(names.add(f"{n}.jpg") for n in range(95))
    assert (len(names), "94.jpg" in names, "95.jpg" in names) == (95, True, False)


def test_a_stream_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    stream = members.Stream(members.Opened(str(tmp_path / "a")), most=8)
    with pytest.raises(ValueError, match="of 10 bytes"):
        stream.read()
    assert stream.seek(-3, os.SEEK_END) == 7 and stream.read(8) == b"789"
    with pytest.raises(ValueError, match="negative"):
        stream.seek(-1)
