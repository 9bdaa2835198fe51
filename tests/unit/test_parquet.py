"""Images in Parquet files: columns, metadata, order, and files that lie or are damaged."""

import json
import random
import sys
import tempfile
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from spocdb.errors import ConfigError, ImageError, ImageTooLarge, ImageVanished, UnreadableImage
from spocdb.records import Choice, Contents, ImageRef
from spocdb.sources import kinds
from spocdb.sources.opening import opened
from spocdb.sources.parquet import ParquetSource, is_parquet
from spocdb.sources.source import Given, Terms, check_any, locate

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    """Write a file; an option `features` is what Hugging Face's `datasets` says of the columns."""
    features = options.pop("features", None)
    table = pa.table(columns)
    if features:
        said = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": said})
    parquet.write_table(table, path, **options)
    return path


def source_of(*paths: Path, column: str | None = None) -> ParquetSource:
    return ParquetSource([str(path) for path in paths], Terms(Choice(image_column=column)))


def read(source: Given, refs: Iterable[ImageRef] | None = None) -> dict[str, Any]:
    """Return what the source gives for each image: bytes and metadata, or the error."""
    found: dict[str, Any] = {}
    for ref, get in source.stream(source.refs() if refs is None else refs):
        try:
            if ref.problem:
                raise ref.problem
            found[ref.name] = get(10**6), dict(ref.metadata)
        except ImageError as error:
            found[ref.name] = error
    return found


def faces(path: Path, n: int = 5, **options: Any) -> Path:
    """Write a file as Hugging Face's `datasets` does."""
    images = [{"bytes": b"%d" % row, "path": f"{row}.jpg"} for row in range(n)]
    labels = [row % 2 for row in range(n)]
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": ["cat", "dog"]},
    }
    columns = {"image": pa.array(images, IMAGE), "label": labels}
    return write(path, columns, features=features, **options)


def test_a_row_is_an_image_with_the_other_columns_as_metadata(tmp_path: Path) -> None:
    file = faces(tmp_path / "train.parquet", row_group_size=2)
    source = source_of(file)
    refs = list(source.refs())
    assert [ref.name for ref in refs] == [f"{file}/image/{row}" for row in range(5)]
    assert len({ref.version for ref in refs}) == 1 and list(source.whole) == [Contents(str(file))]
    streamed = list(source.stream(iter(refs)))
    assert [(ref.version, ref.size) for ref, _ in streamed] == [(refs[0].version, 1)] * 5
    assert [dict(ref.metadata)["label"] for ref, _ in streamed] == ["cat", "dog"] * 2 + ["cat"]
    assert dict(streamed[3][0].metadata) == {"image_path": "3.jpg", "label": "dog"}
    # Also after the source has gone on, and in any order.
    assert [get(10) for _, get in reversed(streamed)] == [b"4", b"3", b"2", b"1", b"0"]
    with pytest.raises(ImageTooLarge, match="raise SPOCDB_MAX_BYTES"):
        streamed[0][1](0)


def test_stored_names_are_found_in_any_order(tmp_path: Path) -> None:
    file = faces(tmp_path / "a.parquet", 100, row_group_size=40)
    source = opened([])
    for row in (99, 0, 40, 39, 41, 41):
        assert locate(source, f"{file}/image/{row}")(10) == b"%d" % row
    with pytest.raises(ImageVanished, match="no such row or column any more"):
        locate(source, f"{file}/image/100")
    with pytest.raises(ImageVanished, match="no such row or column any more"):
        locate(source, f"{file}/other/0")
    with pytest.raises(ImageVanished, match="cannot read the file: No such file"):
        locate(source, str(tmp_path / "gone.parquet/image/0"))
    with pytest.raises(UnreadableImage, match="no row of a Parquet file"):
        locate(source, f"{file}/image/one")
    assert source.exists(f"{file}/image/99") and not source.exists(f"{file}/image/100")
    assert not source.exists(f"{file}/other/0")
    assert not source.exists(str(tmp_path / "gone.parquet/image/0"))
    wanted = [ImageRef(f"{file}/image/{row}") for row in range(1, 100, 7)]
    assert [data for data, _ in read(source, wanted).values()] == [
        b"%d" % row for row in range(1, 100, 7)
    ]
    assert len(list(source.named([str(file), f"{file}/image/3"]))) == 101


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"photo": [b"x"], "text": ["a"]}, "photo"),
        ({"a.b/c": pa.array([b"x"], pa.large_binary()), "n": [1]}, "a.b/c"),
        ({"picture": pa.array([{"bytes": b"x", "path": None}], IMAGE), "raw": [b"y"]}, "picture"),
        ({"image_path": ["below/a.jpg"], "text": ["a"]}, "image_path"),
    ],
)
def test_the_column_is_found_by_types_and_names(
    tmp_path: Path, columns: dict[str, Any], chosen: str
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.jpg").write_bytes(b"x")
    file = write(tmp_path / "a.parquet", columns)
    ((name, (data, _)),) = read(source_of(file)).items()
    assert (name, data) == (f"{file}/{chosen}/0", b"x")


def test_a_column_that_is_not_clear_is_asked_for(tmp_path: Path) -> None:
    two = write(tmp_path / "two.parquet", {"left": [b"l"], "right": [b"r"], "n": [1]})
    none = write(tmp_path / "none.parquet", {"text": ["a"], "n": [1]})
    there = r"left \(binary\), right \(binary\), n \(int64\)$"
    with pytest.raises(ConfigError, match=f"not say which .* by `image_column=NAME`.*: {there}"):
        list(source_of(two).refs())
    with pytest.raises(ConfigError, match=rf"has no column 'up': there are: {there}"):
        list(source_of(two, column="up").refs())
    with pytest.raises(ConfigError, match=r"not say which .*text \(string\), n \(int64\)$"):
        list(source_of(none).refs())
    ((name, (data, said)),) = read(source_of(two, column="right")).items()
    assert (name, data, said) == (f"{two}/right/0", b"r", {"n": 1})


def test_simple_columns_become_metadata_and_others_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = {
        "image": b"x",
        "text": "a\0b",
        "real": 0.5,
        "nan": float("nan"),
        "none": None,
        "yes": True,
        "day": date(2026, 1, 2),
        "at": datetime(2026, 1, 2, 3, 4),
        "tags": ["a", "b"],
        "deep": {"x": 1},
        "other": b"bytes",
        "boxes": [[1, 2]],
    }
    columns = {name: [value] for name, value in row.items()}
    columns["none"] = pa.array([None], pa.int64())
    columns["kind"] = pa.array(["z"]).dictionary_encode()
    file = write(tmp_path / "a.parquet", columns)
    ((_, said),) = read(source_of(file, column="image")).values()
    assert said == {
        **{"text": "a\ufffdb", "real": 0.5, "yes": True, "day": "2026-01-02"},
        **{"at": "2026-01-02T03:04:00", "tags": ["a", "b"], "kind": "z"},
    }
    (told,) = caplog.messages
    assert told == (
        "columns that are no metadata are left out: deep (struct<x: int64>), other (binary), "
        "boxes (list<element: list<element: int64>>)"
    )


def test_rows_without_an_image_or_with_one_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "data" / "a.jpg").write_bytes(b"a")
    paths = ["a.jpg", "gone.jpg", "../secret.jpg", str(tmp_path / "secret.jpg"), None, ""]
    images = [{"bytes": None, "path": path} for path in paths]
    file = write(tmp_path / "data" / "a.parquet", {"image": pa.array([*images, None], IMAGE)})
    found = [str(got) for got in read(source_of(file)).values()]
    assert found[0] == "(b'a', {})"
    assert found[1].startswith("there is no file ")
    assert found[2:4] == [f"the path leads out of {file.parent}"] * 2
    assert found[4:] == ["the row has no image"] * 3
    urls = write(tmp_path / "urls.parquet", {"url": ["http://127.0.0.1:9/a.jpg"]})
    ((_, error),) = read(source_of(urls)).items()
    assert "SPOCDB_ALLOW_PRIVATE" in str(error)


def test_folders_of_files_are_sources_and_others_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("test", "train"):
        faces(folder / f"{split}.parquet", 2)
    (folder / "below").mkdir()
    faces(folder / "below" / "more.PARQUET", 1)
    (folder / "README.md").touch()
    (folder / ".cache").mkdir()
    source = opened([folder])
    assert len(read(source)) == 5
    assert dict(source.left_out) == {".md": 1, kinds.HIDDEN: 1}
    assert source.covers(f"{folder}/test.parquet/image/0")
    (tmp_path / "a.jpg").write_bytes(b"a")
    assert is_parquet(str(folder)) and not is_parquet(str(tmp_path))
    assert len(read(opened([folder], Terms(Choice(recursive=False))))) == 4
    # In a folder of images they are left out, and told.
    faces(tmp_path / "b.parquet", 1)
    mixed = opened([tmp_path])
    assert list(read(mixed)) == [str(tmp_path / "a.jpg")]
    assert kinds.told(mixed.left_out).startswith("4 .parquet (name it, or its own folder, to read")


def test_paths_that_are_gone_or_empty(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.parquet", {"image": pa.array([], pa.binary())})
    gone, full = tmp_path / "gone.parquet", faces(tmp_path / "full.parquet")
    source = opened([full, empty, gone])
    assert list(source.empty_roots()) == [(str(empty), True), (str(gone), False)]
    with pytest.raises(ConfigError, match=r"no such file or folder: .*gone\.parquet"):
        source.refs()
    check_any(source.without([str(gone)]))
    with pytest.raises(ConfigError, match=r"there are no images under .*empty\.parquet$"):
        check_any(opened([empty]))
    (tmp_path / "bad.parquet").write_bytes(b"no Parquet")
    with pytest.raises(ConfigError, match=r"left out 1 damaged Parquet file$"):
        check_any(opened([tmp_path / "bad.parquet"]))


def test_a_file_that_is_cut_off_is_a_failure_of_its_own_name(tmp_path: Path) -> None:
    file, good = faces(tmp_path / "a.parquet", 100), faces(tmp_path / "b.parquet", 1)
    whole = file.read_bytes()
    for n_bytes in (0, 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:n_bytes])
        source = source_of(file, good)
        found = read(source)
        assert list(found) == [str(file), f"{good}/image/0"]
        assert str(found[str(file)]).startswith("the Parquet file is damaged or cut off (")
        assert source.whole == [Contents(str(good))]


def test_damage_in_a_row_group_costs_only_its_rows(tmp_path: Path) -> None:
    images = [random.Random(row).randbytes(2000) for row in range(60)]
    file = write(
        *(tmp_path / "a.parquet", {"image": images}),
        row_group_size=20,
        compression="none",
        use_dictionary=False,
        write_page_checksum=False,
    )
    data = bytearray(file.read_bytes())
    at = data.index(images[20]) - 40  # the header of the second group's first page
    data[at : at + 36] = b"\xff" * 36
    file.write_bytes(data)
    found = list(read(source_of(file)).values())
    assert [data for data, _ in found[:20] + found[40:]] == images[:20] + images[40:]
    assert {type(error) for error in found[20:40]} == {UnreadableImage}


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 20))
def test_damaged_files_give_bytes_or_errors(rng: random.Random, n_damaged: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = faces(Path(folder) / "a.parquet", 30, row_group_size=10)
        data = bytearray(file.read_bytes())
        for _ in range(n_damaged):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data)
        try:
            for got in read(source_of(file)).values():
                assert isinstance(got, tuple | ImageError)
        except ConfigError as error:
            assert "\n" not in str(error)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    rng = random.Random(0)
    blobs = (rng.randbytes(100_000) for _ in range(400))
    file = write(
        tmp_path / "a.parquet", {"image": list(blobs)}, compression="none", write_batch_size=10
    )
    assert file.stat().st_size > 40_000_000
    pool = pa.default_memory_pool()
    source, most = source_of(file), 0
    before = pool.bytes_allocated()
    for _, get in source.stream(source.refs()):
        assert len(get(10**6)) == 100_000
        most = max(most, pool.bytes_allocated() - before)
    assert most < 12_000_000


def test_without_the_package_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = faces(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"needs a package: pip install 'spocdb\[parquet\]'"):
        list(opened([file]).refs())
