"""Archives that are damaged, or that lie."""

import gzip
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from spocdb.errors import ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.sources import members, zips
from tests.fixtures.archived import CONTENTS, pack, read, source_of, tar_bytes


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


def test_a_stream_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    stream = members.Stream(members.Opened(str(tmp_path / "a")), most=8)
    with pytest.raises(ValueError, match="of 10 bytes"):
        stream.read()
    assert stream.seek(-3, os.SEEK_END) == 7 and stream.read(8) == b"789"
    with pytest.raises(ValueError, match="negative"):
        stream.seek(-1)
