"""The page's answers, seen by a client that is no browser."""

import re

import httpx
import pytest

from spocdb.web.guard import COOKIE
from spocdb.web.pages import assets, looking
from tests.fixtures.opened import Database
from tests.integration.web.conftest import Serving

TOKEN = "a token of 24 characters"
HTML = {"Accept": "text/html"}


def test_files_are_kept_for_good_by_their_hash(client: httpx.Client) -> None:
    address = assets.address("page.js")
    answer = client.get(address)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    tag = {"If-None-Match": answer.headers["etag"]}
    assert client.get(address, headers=tag).status_code == 304
    # The page of an older version, still open, gets the present file and asks again next time.
    older = client.get("/static/0123456789abcdef/page.js")
    assert (older.content, older.headers["cache-control"]) == (answer.content, "no-cache")
    assert client.get("/static/0123456789abcdef/none.js").status_code == 404


def test_the_page_needs_nothing_inline(client: httpx.Client) -> None:
    page = client.get("/collections/photos").text
    assert re.findall(r"<script(?![^>]* src=)(?![^>]*application/json)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page.replace("src=x onerror=alert(1)", "")) == []
    assert "<img src=x" not in page


def test_the_first_pictures_do_not_wait_for_the_layout(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "SEEN", 10)
    tiles = re.findall(r"<img [^>]*/thumbnail[^>]*>", client.get("/collections/photos").text)
    assert [' loading="lazy"' in tile for tile in tiles] == 10 * [False] + 14 * [True]


def test_errors_are_pages_for_people(client: httpx.Client) -> None:
    answer = client.get("/collections/none")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "there is no collection named none" in answer.text
    answer = client.get("/collections/photos", params={"filter": "<b>"})
    assert answer.status_code == 422
    assert "<b>" not in answer.text


@pytest.mark.parametrize(
    ("next", "goes"),
    [
        ("/collections/photos?like=1", "/collections/photos?like=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ],
)
def test_signing_in_goes_on_here(gallery: Database, serve: Serving, next: str, goes: str) -> None:
    with serve(gallery.engine, token=TOKEN) as client:
        answer = client.post("/sign-in", data={"token": TOKEN, "next": next})
        assert (answer.status_code, answer.headers["location"]) == (303, goes)


def test_a_wrong_token_is_refused(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, token=TOKEN) as client:
        answer = client.post("/sign-in", data={"token": "wrong", "next": "/"})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)
        assert "This is not the token" in answer.text
        refused = client.post(
            "/sign-in", data={"token": TOKEN}, headers={"Origin": "http://evil.example"}
        )
        assert refused.status_code == 403


def test_the_cookie_is_secure_behind_https(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, token=TOKEN, names=("photos.example",)) as client:
        headers = {"Host": "photos.example", "Origin": "https://photos.example"}
        answer = client.post("/sign-in", data={"token": TOKEN}, headers=headers)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
        plain = client.post("/sign-in", data={"token": TOKEN}).headers["set-cookie"]
        assert "Secure" not in plain


def test_people_are_sent_to_sign_in_and_back(gallery: Database, serve: Serving) -> None:
    with serve(gallery.engine, token=TOKEN) as client:
        answer = client.get("/collections/photos?like=1", headers=HTML)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/sign-in?next=%2Fcollections%2Fphotos%3Flike%3D1"
        assert client.get(assets.address("page.css")).status_code == 200
