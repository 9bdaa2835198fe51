"""What a page of another site, a guesser or an endless upload cannot do."""

import gc
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from spocdb.api import Engine
from spocdb.errors import ConfigError, DatabaseError
from spocdb.web import problems
from spocdb.web import server as serving
from spocdb.web.guard import COOKIE, session
from spocdb.web.options import Bounds, ServerOptions
from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving

API = "/api/v1"
TOKEN = "a token of 24 characters"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8117", "localhost.evil.example", ""]
)
def test_a_foreign_host_is_refused(client: httpx.Client, host: str) -> None:
    response = client.get(f"{API}/collections", headers={"Host": host})
    assert (response.status_code, response.json()["code"]) == (421, "unknown-host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:99", "LOCALHOST:1", "[::1]:8117"])
def test_names_of_this_machine_are_known(client: httpx.Client, host: str) -> None:
    assert client.get(f"{API}/collections", headers={"Host": host}).status_code == 200


def test_an_address_of_the_network_is_foreign_on_loopback(client: httpx.Client) -> None:
    assert client.get("/healthz", headers={"Host": "192.0.2.1"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)
def test_posts_from_other_sites_are_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    response = client.post(f"{API}/collections/photos/search", content=b"x", headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "cross-origin")


def test_posts_of_the_own_page_and_of_programs_are_answered(
    client: httpx.Client, photos: Path
) -> None:
    data = (photos / "07.jpg").read_bytes()
    origin = str(client.base_url).rstrip("/")
    for headers in ({}, {"Origin": origin}, {"Origin": origin, "Sec-Fetch-Site": "same-origin"}):
        response = client.post(f"{API}/collections/photos/search", content=data, headers=headers)
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", ["/healthz", f"{API}/collections", "/nothing", f"{API}/images/0"])
def test_every_answer_carries_the_protecting_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'self'"
    assert "frame-ancestors 'none'" in policy
    assert not any("unsafe" in part or "http" in part for part in policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


TRICKS = ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "1/../../etc/passwd", "1%00"]


@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_leads_to_a_file(client: httpx.Client, trick: str) -> None:
    base = str(client.base_url).rstrip("/")
    for path in (f"{API}/images/{trick}/picture", f"/static/{trick}", f"/{trick}"):
        # Sent as it is: httpx would tidy it up.
        answer = _raw(base, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 422")), (path, answer[:200])
        assert b"root:" not in answer


def test_a_body_that_is_too_large_is_refused_by_its_header_alone(
    gallery: Database, serve: Serving
) -> None:
    with serve(gallery.engine, bounds=Bounds(upload_bytes=1000)) as client:
        request = (
            f"POST {API}/collections/photos/search HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Length: 99999999999\r\n\r\n"
        )
        assert _raw(str(client.base_url), request).startswith(b"HTTP/1.1 413")


def test_an_endless_upload_is_ended(gallery: Database, serve: Serving) -> None:
    n_sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal n_sent
        while True:
            n_sent += 65536
            yield b"x" * 65536

    with serve(gallery.engine, bounds=Bounds(upload_bytes=100_000)) as client:
        try:
            response = client.post(f"{API}/collections/photos/search", content=endless())
        except httpx.WriteError:
            pass  # it was ended while the client was still sending
        else:
            assert response.status_code == 413
    assert n_sent < 50_000_000


def test_a_slow_upload_is_ended(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, bounds=Bounds(upload_seconds=0.3)) as client:
        request = (
            f"POST {API}/collections/photos/search HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Length: 1000\r\n\r\nonly this"
        )
        assert _raw(str(client.base_url), request).startswith(b"HTTP/1.1 408")


def test_headers_that_never_end_are_ended(
    gallery: Database, serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SECONDS_FOR_HEADERS", 0.3)
    with serve(gallery.engine) as client:
        assert _raw(str(client.base_url), "GET / HTTP/1.1\r\nHost: loc") == b""
        assert client.get("/healthz").status_code == 200


def test_another_host_needs_a_token() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(ConfigError, match="give a token") as caught:
            ServerOptions(host=host)
        assert caught.value.field == "token_file"
    with pytest.raises(ConfigError, match="at least 16 characters") as caught:
        ServerOptions(host="0.0.0.0", token="too short")
    assert "too short" not in str(caught.value)
    assert TOKEN not in repr(ServerOptions(host="0.0.0.0", token=TOKEN))


def test_a_token_is_needed_everywhere_but_for_health(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, token=TOKEN) as client:
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        for path in (f"{API}/collections", "/metrics", f"{API}/openapi.json", "/"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}={TOKEN}"}):
                assert client.get(path, headers=headers).status_code == 401, (path, headers)
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get(f"{API}/collections", headers=right).status_code == 200
        cookie = {"Cookie": f"{COOKIE}={session(TOKEN)}"}
        assert client.get(f"{API}/collections", headers=cookie).status_code == 200


def test_only_the_named_collections_are_shown(
    gallery: Database, serve: Serving, ids: dict[str, int], photos: Path
) -> None:
    hidden, data = ids["07.jpg"], (photos / "07.jpg").read_bytes()
    with serve(gallery.engine, collections=("others",)) as client:
        shown = client.get(f"{API}/collections").json()
        assert [c["name"] for c in shown] == ["others"]
        refused = [
            client.get(f"{API}/images/{hidden}"),
            client.get(f"{API}/collections/photos/similar?id={hidden}"),
            client.get(f"{API}/collections/others/similar?id={hidden}"),
            client.get(f"{API}/collections/photos/failures"),
            client.post(f"{API}/collections/photos/search", content=data),
        ]
        assert {response.status_code for response in refused} == {404}
        assert client.post(f"{API}/collections/others/search", content=data).status_code == 200


def test_a_hidden_image_is_like_one_that_does_not_exist(
    gallery: Database, serve: Serving, ids: dict[str, int]
) -> None:
    hidden, unknown = ids["07.jpg"], 999_999_999
    with serve(gallery.engine, collections=("others",)) as client:
        for what in ("", "/thumbnail", "/picture"):
            shown = [client.get(f"{API}/images/{id}{what}") for id in (hidden, unknown)]
            assert [response.status_code for response in shown] == [404, 404]
            assert shown[0].text.replace(str(hidden), str(unknown)) == shown[1].text


def test_the_form_for_the_token_is_small(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, token=TOKEN) as client:
        assert client.post("/sign-in", content=b"a=1&" * 10_000).status_code == 413
        assert client.post("/sign-in", content=b"a=1&" * 1000).status_code == 401


def test_bodies_of_many_requests_are_bounded_together(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, bounds=Bounds(all_upload_bytes=1000)) as client:
        path = f"{API}/collections/photos/search"
        for _ in range(3):  # what a request held is released
            assert client.post(path, content=b"x" * 2000).status_code == 503
            assert client.post(path, content=b"x" * 900).status_code == 422


def test_a_statement_may_not_run_for_ever(gallery: Database) -> None:
    with Engine(gallery.settings, statement_seconds=0.05) as engine:
        for _ in range(2):  # also after the session was reset
            with pytest.raises(DatabaseError) as caught, engine.connection() as connection:
                connection.execute("SELECT pg_sleep(10)")
            assert problems.status_of(caught.value) == 504


def test_an_unready_database_is_not_described(
    server: str, template: str, gallery: Database, serve: Serving
) -> None:
    name = f"test_{uuid4().hex}"
    url = make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        with (
            Database(replace(gallery.settings, database_url=url)) as gone,
            serve(gone.engine) as client,
        ):
            assert client.get("/readyz").status_code == 200
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            for address in ("/readyz", "/api/v1/collections", "/"):
                response = client.get(address, headers={"Accept": "text/html"})
                assert (response.status_code, name in response.text) == (503, False)


def test_further_names_and_addresses_are_known(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, host="127.0.0.2", names=("Photos.Example.com",)) as client:
        assert client.get("/healthz").status_code == 200
        for host in ("photos.example.com", "PHOTOS.example.COM:80"):
            assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_malformed_cookie_of_another_program_signs_nobody_out(
    gallery: Database, serve: Serving
) -> None:
    with serve(gallery.engine, token=TOKEN) as client:
        cookie = {"Cookie": f'other={{"x":1}}; {COOKIE}={session(TOKEN)}'}
        assert client.get(f"{API}/collections", headers=cookie).status_code == 200


def _raw(url: str, request: str) -> bytes:
    """Send a request as it is, and return all that comes until the server closes."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(request.encode())
        answer = b""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (part := connection.recv(65536)):
            answer += part
        return answer


def test_names_with_markup_are_data(client: httpx.Client, ids: dict[str, int]) -> None:
    name = next(name for name in ids if "<" in name)
    response = client.get(f"{API}/images/{ids[name]}")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["path"].endswith(name)
    assert quote(name)


def test_a_request_that_does_not_end_does_not_outlive_the_server(
    gallery: Database, serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SECONDS_TO_STOP", 0.3)
    with serve(gallery.engine) as client:
        host, port = client.base_url.host, client.base_url.port
        assert port
        waiting = socket.create_connection((host, port), timeout=10)
        request = "POST /api/v1/collections/photos/search HTTP/1.1\r\nHost: localhost\r\n"
        waiting.sendall(f"{request}Content-Length: 1000\r\n\r\nonly this".encode())
        assert client.get("/healthz").status_code == 200
    # Nothing but the end comes, though the client keeps its side open.
    with waiting, suppress(ConnectionResetError):
        while waiting.recv(4096):
            pass
    gc.collect()  # a socket that was left open would warn here, which is an error
