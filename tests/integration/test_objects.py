"""Ingests of object storage, from a real server: repeated, changed, pruned, refused and killed."""

import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from spocdb.errors import ConfigError, ImageTooLarge, ImageVanished
from spocdb.sources import stores
from spocdb.sources.opening import opened
from spocdb.sources.source import locate
from tests.fixtures.buckets import READER, Bucket, Proxy, serving
from tests.fixtures.ingested import counts, network
from tests.fixtures.killed import Kill
from tests.fixtures.opened import Database
from tests.fixtures.program import Run

Make = Callable[..., Path]
Recipe = dict[str, Any]


def stored(db: Database) -> list[str]:
    return sorted(image.path for image in db.images(collection="photos"))


def failures(db: Database) -> dict[str, str]:
    return {failure.path: failure.message for failure in db.failures()}


def test_a_prefix_is_ingested_once(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, proxy: Proxy, spocdb: Run
) -> None:
    photos = make_photos(4)
    uris = bucket.put_all(photos)
    uris.append(
        bucket.put("deep/ä b?#%20.jpg", (make_photos(1, "one", seed=1) / "0000.jpg").read_bytes())
    )
    bucket.put("notes.md", b"text")
    bucket.put(".thumbs/0000.jpg", b"hidden")
    bucket.put("shard.tar", b"archive")
    bucket.put("folder/", b"")
    progress = db.ingest(f"{bucket.uri}/", **recipe)
    assert counts(progress) == (5, 0, 0, 0)
    assert dict(progress.left_out) == {".md": 1, "hidden": 1, ".tar": 1}
    assert stored(db) == sorted(uris)
    proxy.asked.clear()
    with network() as batches:
        assert counts(db.ingest(bucket.uri)) == (0, 0, 5, 0)
    assert not batches
    assert proxy.n_asked("GET", ".jpg") == proxy.n_asked("HEAD") == 0
    # A single object, and what is below a prefix that is named twice.
    assert counts(db.ingest(uris[0], bucket.uri, f"{bucket.uri}/deep")) == (0, 0, 5, 0)
    ran = spocdb("ingest", bucket.uri, "--dry-run")
    assert "would read 0 files of 5, 5 unchanged, 0 failed before\n" in ran.stdout


def test_changed_objects_are_read_and_gone_ones_are_pruned(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, proxy: Proxy
) -> None:
    photos, others = make_photos(4), make_photos(2, "others", seed=1)
    uris = bucket.put_all(photos)
    db.ingest(bucket.uri, **recipe)
    bucket.put("0001.jpg", (others / "0000.jpg").read_bytes())
    bucket.delete("0002.jpg")
    proxy.asked.clear()
    progress = db.ingest(bucket.uri, prune=True)
    assert (counts(progress), progress.n_pruned) == ((1, 0, 2, 0), 1)
    assert stored(db) == [uris[0], uris[1], uris[3]]
    # Only the changed one is read, and pruning asks only for the one that was not listed.
    assert proxy.n_asked("GET", ".jpg") == 1
    assert proxy.n_asked("HEAD") == proxy.n_asked("HEAD", "0002.jpg") == 1
    for name in ("0000.jpg", "0001.jpg", "0003.jpg"):
        bucket.delete(name)
    with pytest.raises(ConfigError, match=rf"{bucket.uri} holds no image any more: bring it back"):
        db.ingest(bucket.uri, prune=True)
    assert db.ingest(bucket.uri, prune=True, prune_gone=True).n_pruned == 3


def test_what_is_in_a_bucket_is_read_like_a_file(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, tmp_path: Path
) -> None:
    photos = make_photos(3)
    uris = bucket.put_all(photos)
    rows = tmp_path / "rows.csv"
    rows.write_text(f"path,year\n{uris[0]},1999\n{uris[1]},2000\n")
    db.ingest(bucket.uri, **recipe, thumbnails=False, metadata=rows)
    assert [image.metadata.get("year") for image in db.images()] == [1999, 2000, None]
    for image in db.images():
        assert db.read(image.id) == (photos / Path(image.path).name).read_bytes()
        assert db.thumbnail(image.id)
    hit, *_ = db.search(photos / "0001.jpg", k=3)
    assert hit.path == uris[1]
    db.reembed("mini", size=96)
    assert {hit.path for hit in db.search(photos / "0001.jpg", k=9)} == {*uris}
    # Moved: the same bytes under another name, and the old one is gone.
    bucket.put("moved.jpg", (photos / "0002.jpg").read_bytes())
    bucket.delete("0002.jpg")
    assert db.ingest(bucket.uri).n_moved == 1
    assert db.delete(uris[0]) == 1


def test_names_of_objects_may_be_listed(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, tmp_path: Path
) -> None:
    uris = bucket.put_all(make_photos(3))
    secret = "s3://AKIAEXAMPLE:hunter2/x@photos/a.jpg"
    file = tmp_path / "names"
    file.write_text("\n".join([*uris, f"{bucket.uri}/gone.jpg", secret, "s3://photos/a//b.jpg"]))
    assert counts(db.ingest(names_from=file, **recipe)) == (3, 0, 0, 3)
    assert failures(db) == {
        f"{bucket.uri}/gone.jpg": "cannot get the object: there is no such object",
        "s3://photos/a.jpg": "a URI with credentials is not stored: put them in the environment",
        "s3://photos/a//b.jpg": "a key with an empty part, or one that is . or .., cannot be read",
    }
    assert counts(db.ingest(names_from=file)) == (0, 0, 3, 3)
    bucket.put("gone.jpg", (tmp_path / "photos" / "0000.jpg").read_bytes())
    assert db.ingest(retry_failed=True).n_reused == 1


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://key:hunter2@photos/a", "s3://photos/a: a URI with credentials is not stored"),
        ("s3://hunter2@photos/a", "s3://photos/a: a URI with credentials is not stored"),
        ("az://photos/a?sv=1&sig=hunter2", "a URI with credentials is not stored"),
        ("s3://photos/a?X-Amz-Signature=hunter2", "a URI with credentials is not stored"),
        ("s3://Ph otos/a", "no URI of a bucket, such as s3://bucket/prefix"),
        ("gs://", "spocdb: gs://: no URI of a bucket"),
        ("S3://photos/a", "no URI of a bucket"),
        ("s3://photos//a", "a key with an empty part"),
        ("s3://photos/../a", "one that is . or .."),
    ],
)
def test_what_is_no_uri_or_holds_credentials_is_refused(spocdb: Run, uri: str, said: str) -> None:
    ran = spocdb("ingest", uri)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert said in ran.stderr and "hunter2" not in ran.stderr


def test_credentials_and_addresses_are_found_in_profiles(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = bucket.put("a.jpg", b"bytes")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    (tmp_path / "aws-config").write_text(
        f"[profile there]\nendpoint_url = {bucket.storage.url}\nregion = eu-west-1\n"
    )
    (tmp_path / "aws-credentials").write_text(
        f"[there]\naws_access_key_id = {READER.key}\naws_secret_access_key = {READER.secret}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "there")
    assert [ref.name for ref in opened([bucket.uri]).refs()] == [uri]
    assert locate(opened([]), uri)(10) == b"bytes"
    with open(tmp_path / "aws-config", "a") as config:
        config.write("[profile broken]\ncredential_process = sh -c 'echo hunter2 >&2; exit 1'\n")
    monkeypatch.setenv("AWS_PROFILE", "broken")
    said = r"cannot open s3://photos \(CredentialRetrievalError\): set AWS_PROFILE, or .*KEY$"
    with pytest.raises(ConfigError, match=said):
        list(opened([bucket.uri]).refs())
    monkeypatch.setenv("AWS_PROFILE", "elsewhere")
    with pytest.raises(ConfigError, match=r"profile \(elsewhere\) could not be found"):
        list(opened([bucket.uri]).refs())


def test_wrong_credentials_and_missing_buckets_are_one_line(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    environment: dict[str, str],
    spocdb: Run,
) -> None:
    uris = bucket.put_all(make_photos(1))
    denied = {
        "secret": ({"AWS_SECRET_ACCESS_KEY": "hunter2"}, "HTTP 403 SignatureDoesNotMatch"),
        "key": ({"AWS_ACCESS_KEY_ID": "hunter2"}, "HTTP 403 InvalidAccessKeyId"),
        "none": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "HTTP 403 AccessDenied"),
    }
    for changes, said in denied.values():
        environment |= changes
        ran = spocdb("ingest", bucket.uri)
        assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
        assert f"cannot list {bucket.uri}: access is denied ({said}): set AWS_PROFILE" in ran.stderr
        assert "hunter2" not in ran.stderr
        environment |= {"AWS_ACCESS_KEY_ID": READER.key, "AWS_SECRET_ACCESS_KEY": READER.secret}
    ran = spocdb("ingest", "s3://elsewhere/a")
    assert (ran.returncode, "cannot list s3://elsewhere/a: access is denied" in ran.stderr) == (
        1,
        True,
    )
    environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    environment |= {"AWS_ACCESS_KEY_ID": "hunter2", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    assert db.collections() == []
    db.ingest(bucket.uri, **recipe)
    ((text,),) = db.connection.execute(
        "SELECT string_agg(to_json(i)::text, ' ') FROM (TABLE spocdb.images) i"
    )
    assert uris[0] in text and READER.secret not in text


def test_a_missing_bucket_is_said(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "writer-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "writer-secret")
    with pytest.raises(ConfigError, match=r"s3://elsewhere/a: there is no such bucket$"):
        list(opened(["s3://elsewhere/a"]).refs())


def test_a_key_that_cannot_be_named_ends_the_listing(bucket: Bucket) -> None:
    bucket.put("a.jpg", b"1")
    bucket.put("b\nc.jpg", b"2")
    with pytest.raises(ConfigError, match=rf"cannot list {bucket.uri}: a key has .*: rename it$"):
        list(opened([bucket.uri]).refs())


def test_an_object_that_vanishes_after_it_was_listed_is_a_failure(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, proxy: Proxy
) -> None:
    uris = bucket.put_all(make_photos(3))

    def vanishing(path: str) -> None:
        if path.endswith("0001.jpg"):
            bucket.delete("0001.jpg")

    proxy.fault = vanishing
    assert counts(db.ingest(bucket.uri, **recipe)) == (2, 0, 0, 1)
    assert failures(db) == {uris[1]: "cannot get the object: there is no such object"}
    assert db.ingest(bucket.uri, prune=True).n_failed == 0
    assert not failures(db)


def test_throttled_and_broken_answers_are_asked_for_again(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "RETRIES", 3)
    bucket.put_all(make_photos(4))
    faults: dict[str, list[int | str]] = {
        "list-type": [503, 503],
        "0000.jpg": [503, 500],
        "0001.jpg": ["cut"],
        "0002.jpg": ["cut"] * 2,
    }

    def fault(path: str) -> int | str | None:
        left = next((left for part, left in faults.items() if part in path), None)
        return left.pop() if left else None

    proxy.fault = fault
    assert counts(db.ingest(bucket.uri, **recipe)) == (4, 0, 0, 0)
    assert not any(faults.values()) and not failures(db)
    for image in db.images():
        assert db.read(image.id).endswith(b"\xff\xd9")


def test_what_stays_throttled_or_cut_off_is_a_failure(
    db: Database,
    recipe: Recipe,
    make_photos: Make,
    bucket: Bucket,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "RETRIES", 1)
    photos = make_photos(4)
    uris = bucket.put_all(photos)
    uris.append(bucket.put("0004.jpg", (photos / "0000.jpg").read_bytes()[:200]))
    faults: dict[str, int | str] = {"0001.jpg": 503, "0002.jpg": "cut"}
    proxy.fault = lambda path: faults.get(path.rpartition("/")[2])
    assert counts(db.ingest(bucket.uri, **recipe)) == (2, 0, 0, 3)
    said = failures(db)
    assert list(said) == [uris[1], uris[2], uris[4]]
    assert said[uris[1]] == "cannot get the object: HTTP 503"
    assert said[uris[2]] == "cannot get the object: the storage does not answer"
    proxy.fault = lambda path: 503
    with pytest.raises(ConfigError, match=f"cannot list {bucket.uri}: HTTP 503"):
        db.ingest(bucket.uri, prune=True, prune_gone=True)
    proxy.fault = lambda path: None
    progress = db.ingest(bucket.uri, retry_failed=True)
    assert counts(progress) == (2, 0, 2, 1)


def test_sizes_are_checked_before_bytes_are_read(bucket: Bucket) -> None:
    uri = bucket.put("a.jpg", b"x" * 1000)
    ((ref, get),) = opened([uri]).stream(opened([uri]).refs())
    assert (ref.size, get(1000)) == (1000, b"x" * 1000)
    with pytest.raises(ImageTooLarge, match="1000 bytes are over the limit of 999"):
        get(999)
    bucket.delete("a.jpg")
    with pytest.raises(ImageVanished, match="there is no such object"):
        get(1000)
    assert not opened([]).exists(uri)
    assert opened([]).exists("s3://elsewhere/a.jpg")


class _Endless(BaseHTTPRequestHandler):
    """Answers each request for a listing with another page of a bucket that has no end."""

    n_pages = 0

    def do_GET(self) -> None:
        n, type(self).n_pages = self.n_pages, self.n_pages + 1
        entries = "".join(
            f"<Contents><Key>{n:06}-{i:04}.jpg</Key><Size>1</Size><ETag>e</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for i in range(1000)
        )
        page = (
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>"
            f"{n}</NextContinuationToken>{entries}</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_bucket_is_listed_page_by_page(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    with serving(server):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        source = opened(["s3://endless"])
        _Endless.n_pages = 0
        refs = source.refs()
        *_, last = islice(refs, 2500)
        assert (last.name, last.version) == ("s3://endless/000002-0499.jpg", '"e" 1')
        assert 3 <= _Endless.n_pages <= 6
        del refs


def test_more_objects_are_read_at_once_than_there_are_threads(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, proxy: Proxy
) -> None:
    n = 2 * db.settings.threads
    bucket.put_all(make_photos(n))
    # Broken, so that the test fails, if they do not come together.
    together = threading.Barrier(n, timeout=60)

    def wait(path: str) -> None:
        if path.endswith(".jpg"):
            together.wait()

    proxy.fault = wait
    assert counts(db.ingest(bucket.uri, **recipe)) == (n, 0, 0, 0)
    assert not together.broken


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, spocdb: Run) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    ran = spocdb("ingest", "s3://photos")
    assert ran.stderr.endswith("object storage needs a package: pip install 'spocdb[cloud]'\n")


@pytest.mark.slow
def test_killed_in_the_middle_of_a_bucket_it_goes_on(
    db: Database, recipe: Recipe, make_photos: Make, bucket: Bucket, kill_ingest: Kill
) -> None:
    uris = bucket.put_all(make_photos(60))
    n_before = kill_ingest(bucket.uri, **recipe)
    assert 0 < n_before < 60
    assert counts(db.ingest(bucket.uri, auto_pca=0)) == (60 - n_before, 0, n_before, 0)
    assert stored(db) == uris
