"""Which part of a URI is an archive or a Parquet file, and which kind of source has it."""

from pathlib import Path

import pytest

from spocdb.sources.archives import archive_of
from spocdb.sources.lists import listed
from spocdb.sources.locations import url_below
from spocdb.sources.opening import opened, reads_far
from spocdb.sources.parquet import file_of, is_parquet


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("https://photos.example/s-00.tar", "https://photos.example/s-00.tar"),
        ("https://photos.example/s.tar.gz/a/b.jpg", "https://photos.example/s.tar.gz"),
        ("HTTP://photos.example/a.ZIP/b.jpg", "HTTP://photos.example/a.ZIP"),
        ("s3://photos/a.tar/1.jpg", "s3://photos/a.tar"),
        ("s3://photos/what?/a.tar/1.jpg", "s3://photos/what?/a.tar"),
        # The host, the query and a fragment are no files.
        ("https://photos.zip/a.jpg", None),
        ("https://photos.zip", None),
        ("https://photos.zip/a.tar/1.jpg", "https://photos.zip/a.tar"),
        ("https://photos.example/get?file=a.tar", None),
        ("https://photos.example/a.tar?version=2", None),
        # One image to its server, such as a signed one.
        ("https://photos.example/a.tar/1.jpg?token=2", None),
        ("https://photos.example/a.tar/1.jpg#2", None),
        ("https://photos.example/#a.tar", None),
        # Whoever lists these hides the password.
        ("https://me:secret@photos.example/a.tar", None),
        ("https://token@photos.example/a.tar/1.jpg", None),
        ("s3://key:secret@photos/a.tar", None),
        ("ftp://photos.example/a.tar", None),
    ],
)
def test_the_archive_in_a_uri(name: str, archive: str | None) -> None:
    assert archive_of(name) == archive
    as_table = name.lower().replace(".tar.gz", ".tar").replace(".tar", ".parquet")
    as_table = as_table.replace(".zip", ".parquet")
    found = file_of(as_table)
    assert (found is None) == (archive is None) or name.startswith("ftp")
    assert is_parquet(as_table) == (archive is not None)


@pytest.mark.parametrize(
    ("argument", "kind"),
    [
        ("https://photos.example/s-00.tar", "ArchivesSource"),
        ("https://photos.example/train.parquet", "ParquetSource"),
        ("https://photos.example/a.jpg", "UrlsSource"),
        # One image: as a stored name it is a member.
        ("https://photos.example/s-00.tar/1.jpg", "UrlsSource"),
        ("https://photos.example/train.parquet/image/0", "UrlsSource"),
        ("https://me:secret@photos.example/s-00.tar", "UrlsSource"),
        ("s3://photos/s-00.tar", "ArchivesSource"),
    ],
)
def test_the_kind_of_an_argument(argument: str, kind: str) -> None:
    (part,) = [part for _, part in opened([argument]).parts if part.roots]
    assert (type(part).__name__, part.roots) == (kind, [argument])
    assert part.covers(argument)


def test_a_listing_that_reads_archives_is_known_by_arguments_and_lists(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://photos.example/a.jpg\n")
    assert not reads_far(opened([], lists=listed(None, tmp_path / "urls.txt")))
    (tmp_path / "urls.txt").write_text(
        "https://photos.example/a.jpg\nhttps://photos.example/a.tar\n"
    )
    assert reads_far(opened([], lists=listed(None, tmp_path / "urls.txt")))
    assert reads_far(opened(["https://photos.example/a.tar"]))


def test_a_path_below_the_folder_of_a_url() -> None:
    folder = "https://photos.example/in"
    assert url_below(folder, "a b/ä?#.jpg") == f"{folder}/a%20b/%C3%A4%3F%23.jpg"
