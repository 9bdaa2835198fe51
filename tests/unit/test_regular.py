"""Only regular files are opened, for every purpose; opening a pipe does not block."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from spocdb.drawing.sheets import draw_sheet
from spocdb.errors import ConfigError, ImageTooLarge, ImageVanished
from spocdb.evaluation import pairs
from spocdb.features import codebook_files, projection_files, weights
from spocdb.images.regular import read_bytes
from spocdb.sources.files import read
from spocdb.sources.metadata_files import read_metadata
from spocdb.sources.walking import walk
from spocdb.training import checkpoints


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def make_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_pipe, "it is a named pipe: only regular files are read"),
        (make_socket, "No such device or address"),
        (make_link_to_a_device, "it is a device: only regular files are read"),
        (Path.mkdir, "Is a directory"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "odd.jpg"
    make(path)
    with pytest.raises(OSError, match=reason):
        read_bytes(path)


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"bytes")
    (tmp_path / "link").symlink_to("there")
    assert read_bytes(tmp_path / "link") == b"bytes"


def test_a_pipe_that_was_given_by_name_is_listed_and_refused(tmp_path: Path) -> None:
    make_pipe(tmp_path / "pipe.jpg")
    (file,) = walk([tmp_path / "pipe.jpg"], recursive=False)
    with pytest.raises(ImageVanished, match="cannot read the file: it is a named pipe"):
        read(file, 10**6)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("m.csv", lambda file: list(read_metadata(file))),
        ("m.jsonl", lambda file: list(read_metadata(file))),
        ("w.pth", weights.sha256_of),
        ("w.pth", weights.load_state_dict),
        ("p.npz", projection_files.load),
        ("p.safetensors", projection_files.load),
        ("c.safetensors", codebook_files.load),
        ("pairs.csv", pairs.read),
    ],
)
def test_no_file_that_a_user_names_is_waited_for(
    tmp_path: Path, name: str, use: Callable[[Path], object]
) -> None:
    make_pipe(tmp_path / name)
    with pytest.raises(ConfigError):
        use(tmp_path / name)


def test_a_pipe_for_a_codebook_or_a_checkpoint_is_called_one(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    make_pipe(file)
    with pytest.raises(ConfigError, match=r"cannot read the codebook .*: it is a named pipe"):
        codebook_files.load(file)
    with pytest.raises(ConfigError, match=r"cannot read .*: it is a named pipe: only regular"):
        checkpoints.read(file, "one")


def test_a_sheet_shows_why_a_pipe_is_not_drawn(tmp_path: Path) -> None:
    make_pipe(tmp_path / "query.jpg")
    draw_sheet(tmp_path / "query.jpg", [], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 0


def test_a_file_that_does_not_say_how_large_it_is_is_bounded_too(tmp_path: Path) -> None:
    statm = Path("/proc/self/statm")
    assert statm.stat().st_size == 0
    assert len(read_bytes(statm)) > 8
    with pytest.raises(ImageTooLarge, match="over the limit of 8 bytes: raise SPOCDB_MAX_BYTES"):
        read_bytes(statm, 8)
    (tmp_path / "ten").write_bytes(bytes(10))
    assert read_bytes(tmp_path / "ten", 10) == bytes(10)
    with pytest.raises(ImageTooLarge):
        read_bytes(tmp_path / "ten", 9)
