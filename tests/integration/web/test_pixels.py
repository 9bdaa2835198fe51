"""Thumbnails and pictures by HTTP: re-encoded, cached by content, only by id."""

import io

import httpx
import pytest
from PIL import Image

from spocdb.errors import InvalidValue
from tests.fixtures.opened import Database

API = "/api/v1"


def size(response: httpx.Response) -> tuple[int, int]:
    assert (response.status_code, response.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(response.content)) as image:
        assert image.format == "WEBP"
        return image.size


def test_pixels_of_an_image(client: httpx.Client, ids: dict[str, int]) -> None:
    base = f"{API}/images/{ids['07.jpg']}"
    assert size(client.get(f"{base}/thumbnail")) == (256, 192)
    assert size(client.get(f"{base}/picture")) == (320, 240)
    assert size(client.get(f"{base}/picture?side=64")) == (64, 48)
    assert size(client.get(f"{base}/picture?side=99999")) == (320, 240)


@pytest.mark.parametrize("what", ["thumbnail", "picture", "picture?side=32"])
def test_a_known_picture_is_not_sent_again(
    client: httpx.Client, ids: dict[str, int], what: str
) -> None:
    first = client.get(f"{API}/images/{ids['07.jpg']}/{what}")
    known = {"If-None-Match": first.headers["etag"]}
    again = client.get(f"{API}/images/{ids['07.jpg']}/{what}", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"{API}/images/{ids['08.jpg']}/{what}", headers=known)
    assert other.status_code == 200


def test_the_side_of_a_picture_is_bounded(gallery: Database, ids: dict[str, int]) -> None:
    for side in (0, 16384):
        with pytest.raises(InvalidValue, match="side must be 1 to 16383"):
            gallery.picture(ids["07.jpg"], side)
