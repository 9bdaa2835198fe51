"""Metadata files: one row for each image; errors name the line."""

import json
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError
from spocdb.sources import metadata_files
from spocdb.sources.metadata_files import RowsRead, parse_value, read_metadata


def read(file: Path, content: str | bytes, *roots: Path) -> list[tuple[str, dict[str, Any]]]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_metadata(file, roots))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-1.5", -1.5),
        ("true", True),
        ("false", False),
        ('"7"', "7"),
        ("Rome", "Rome"),
        ("007", "007"),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("null", "null"),
        ("[1]", "[1]"),
        ('{"a": 1}', '{"a": 1}'),
        ("", ""),
        (" x ", " x "),
        ("é'\"", "é'\""),
    ],
)
def test_a_value_is_what_it_is_as_json_or_a_text(text: str, value: object) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_a_csv(tmp_path: Path) -> None:
    content = (
        'path,city,year,ok,note\na.jpg,Rome,2020,true,\n"b,c.jpg","San ""J""",,,"two\nlines"\n'
    )
    assert read(tmp_path / "m.csv", content) == [
        (str(tmp_path / "a.jpg"), {"city": "Rome", "year": 2020, "ok": True}),
        (str(tmp_path / "b,c.jpg"), {"city": 'San "J"', "note": "two\nlines"}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("begin", ["", "sep={}\r\n"])
def test_a_csv_of_any_delimiter_and_mark(
    tmp_path: Path, delimiter: str, encoding: str, begin: str
) -> None:
    # A delimiter in a cell or in the name of a column does not count.
    rows = [["a,b;c", "path", "n"], ["x", "ü.jpg", "1"], ["y,z", "b.jpg", ""]]
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    content = (begin.format(delimiter) + text).encode(encoding)
    assert read(tmp_path / "m.csv", content) == [
        (str(tmp_path / "ü.jpg"), {"a,b;c": "x", "n": 1}),
        (str(tmp_path / "b.jpg"), {"a,b;c": "y,z"}),
    ]


def test_a_column_without_a_name_may_only_be_empty(tmp_path: Path) -> None:
    content = "path;n;;\na.jpg;1;;\n"
    assert read(tmp_path / "m.csv", content) == [(str(tmp_path / "a.jpg"), {"n": 1})]
    with pytest.raises(ConfigError, match="line 2: a value in a column without a name"):
        read(tmp_path / "m.csv", "path,n,\na.jpg,1,2\n")


def test_the_lines_of_a_file_that_says_its_delimiter_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 4: no `path`"):
        read(tmp_path / "m.csv", "sep=;\npath;n\na.jpg;1\n;2\n")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "m.jsonl",
            '{"path": "a"}\n{"path": "b", "x": "' + "y" * 1_000_000,
            "line 2: over 1,000,000",
        ),
        ("m.csv", "path,x\n" + "y" * 1_000_001, "line 2: over 1,000,000 characters"),
        ("m.csv", 'path,x\na,"' + ("y" * 999 + "\n") * 1001 + '"', "line 1002: over 1,000,000"),
        ("m.jsonl", '{"path": "a", "x": ' + "[" * 100_000, "line 1: too deep a nesting"),
        ("m.csv", "path" + ",x" * 100_000, "has 100,001 columns, of at most 1,000"),
        ("m.csv", "path,x,x\na,1,2\n", "two columns are called 'x': rename one"),
        (
            "m.jsonl",
            json.dumps({"path": "a"} | {f"k{n}": n for n in range(1000)}),
            "line 1: 1,001 keys, of at most 1,000",
        ),
    ],
    ids=lambda text: text[-30:],
)
def test_what_is_too_large_for_a_row_is_refused_with_its_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path / name}.*{message}") as caught:
        read(tmp_path / name, content)
    assert len(str(caught.value)) < 300


def test_a_long_cell_within_the_limit_is_read(tmp_path: Path) -> None:
    content = f'path,x\na,"{"y" * 900_000}"\n'
    assert read(tmp_path / "m.csv", content) == [(str(tmp_path / "a"), {"x": "y" * 900_000})]


def test_a_row_of_many_lines_has_the_same_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata_files, "MOST_CHARACTERS", 2000)
    lines = "\n".join("z" * 99 for _ in range(40))
    with pytest.raises(
        ConfigError, match=r"line 41: over 1,000,000 characters, the most that a row"
    ):
        read(tmp_path / "m.csv", f'path,x\na,"{lines}"\n')


def test_rows_for_files_that_are_not_there_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "m.csv").write_text("path\na.jpg\nb.jpg\nc.jpg\n")
    counted = RowsRead()
    assert len(list(read_metadata(tmp_path / "m.csv", read=counted))) == 3
    assert counted == RowsRead(3, 2, str(tmp_path / "b.jpg"))


def test_a_csv_as_excel_writes_it(tmp_path: Path) -> None:
    rows = read(tmp_path / "M.CSV", b"\xef\xbb\xbfpath,n\r\na.jpg,1\r\n")
    assert rows == [(str(tmp_path / "a.jpg"), {"n": 1})]


def test_a_path_that_looks_like_a_number_stays_a_path(tmp_path: Path) -> None:
    assert read(tmp_path / "m.csv", "path,n\n007,1\n") == [(str(tmp_path / "007"), {"n": 1})]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson"])
def test_json_lines(tmp_path: Path, suffix: str) -> None:
    row = {"tags": ["a", {"b": None}], "n": 1.5, "ß": "写"}
    content = json.dumps({"path": "a.jpg", **row}) + "\n\n" + json.dumps({"path": "b.jpg"}) + "\n"
    assert read(tmp_path / f"m{suffix}", content) == [
        (str(tmp_path / "a.jpg"), row),
        (str(tmp_path / "b.jpg"), {}),
    ]


def test_a_relative_path_is_looked_for_beside_the_file_and_then_under_the_roots(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "both.jpg").touch()
    (second / "only.jpg").touch()
    (tmp_path / "beside.jpg").touch()
    (second / "beside.jpg").touch()
    content = f"path\nboth.jpg\nonly.jpg\nbeside.jpg\nnowhere.jpg\n{second}/../x.jpg\n"
    found = [path for path, _ in read(tmp_path / "m.csv", content, first, second)]
    assert found == [
        str(first / "both.jpg"),
        str(second / "only.jpg"),
        str(tmp_path / "beside.jpg"),
        str(tmp_path / "nowhere.jpg"),
        str(tmp_path / "x.jpg"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "pth,year\na.jpg,1\n", " has no column `path`; there are: pth, year$"),
        ("m.csv", "pth,year\n", " has no column `path`; there are: pth, year$"),
        ("m.csv", "", " is empty, or its first line is"),
        ("m.csv", "\npath\na.jpg\n", " is empty, or its first line is"),
        ("m.csv", "path,n\na.jpg,1\n,2\n", "line 3: no `path`"),
        ("m.csv", "path,n\na.jpg,1,2\n", "line 2: more cells than columns"),
        ("m.csv", 'path,n\na.jpg,"1"x\n', "line 2: "),
        ("m.csv", b"path,n\ncaf\xe9.jpg,1\n", "not UTF-8"),
        ("m.jsonl", '{"path": "a"}\n{"path": 7}\n', "line 2: no `path`"),
        ("m.jsonl", '{"path": "a"}\n\n{"path": "b",}\n', "line 3: "),
        ("m.jsonl", '["a"]\n', "line 1: not an object"),
        ("m.jsonl", '{"path": "a", "n": NaN}\n', "line 1: NaN is no JSON"),
        ("m.jsonl", b"\xff\xfe", "not UTF-8"),
        ("m.txt", "path\n", r"give a \.csv or a \.jsonl"),
        ("m", "path\n", r"give a \.csv or a \.jsonl"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path / name}.*{message}"):
        read(tmp_path / name, content)


def test_an_infinite_number_or_too_deep_a_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 1: an infinite number, which PostgreSQL cannot"):
        read(tmp_path / "m.jsonl", '{"path": "a", "n": 1e400}\n')
    nested = "[" * 99_999 + "]" * 99_999
    with pytest.raises(ConfigError, match="line 2: "):
        read(tmp_path / "m.jsonl", f'{{"path": "a"}}\n{{"path": "b", "n": {nested}}}\n')


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", 'path,n\0,m\na.jpg,x\0y,"""\\ud800"""\n'),
        ("m.jsonl", r'{"path": "a.jpg", "n\u0000": "x\u0000y", "m": "\ud800"}'),
    ],
)
def test_what_no_text_of_postgresql_may_hold_is_replaced(
    tmp_path: Path, name: str, content: str
) -> None:
    expected = {"n\ufffd": "x\ufffdy", "m": "\ufffd"}
    assert read(tmp_path / name, content) == [(str(tmp_path / "a.jpg"), expected)]


def test_texts_are_replaced_however_deep_they_lie_and_in_paths_too(tmp_path: Path) -> None:
    row = {"path": "\ud800.jpg", "n": [{"x\0": ["\0", 1, None, True]}], "pair": "\U0001f600"}
    assert read(tmp_path / "m.jsonl", json.dumps(row)) == [
        (
            str(tmp_path / "\ufffd.jpg"),
            {"n": [{"x\ufffd": ["\ufffd", 1, None, True]}], "pair": "\U0001f600"},
        )
    ]


def test_a_text_that_spells_an_escape_is_no_zero_byte(tmp_path: Path) -> None:
    row = {"path": "a.jpg", "note": "the text \\u0000"}
    assert read(tmp_path / "m.jsonl", json.dumps(row))[0][1] == {"note": "the text \\u0000"}


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        list(read_metadata(tmp_path / "m.csv"))
