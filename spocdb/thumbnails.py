"""The thumbnail of a stored image: the stored one, or one made of the image's bytes and stored."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from spocdb.db import thumbnails
from spocdb.db.connections import Connection
from spocdb.db.thumbnails import Content
from spocdb.images.decode import thumbnail as decode_thumbnail
from spocdb.images.decode import upright
from spocdb.images.footprint import footprint
from spocdb.images.signatures import VERSION, signature
from spocdb.images.thumbnails import SIDE
from spocdb.pipeline.budget import of_process
from spocdb.records import Signature, SmallPicture
from spocdb.settings import Limits

# Returns a context manager that yields a connection.
Connections = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture of an image: the bytes of a WebP file, and the sha256 (hex) of the image.

    It is upright, in sRGB, and has at most 256 pixels on its longer side.
    """

    data: bytes = field(repr=False)
    sha256: str


def thumbnail(
    connections: Connections, content: Content, read: Callable[[], bytes], limits: Limits
) -> Thumbnail:
    """Return an image's thumbnail; make and store it if none is stored and the role may.

    `read` returns the image's bytes. No connection is held while they are read and
    decoded, which takes part in the process's budget of memory.

    Raises:
        ImageError: There is no thumbnail, and the image cannot be read or decoded.
    """
    with connections() as connection:
        webp = thumbnails.find(connection, content.sha256)
    if webp is None:
        webp = rendered(read(), SIDE, limits)
        made = SmallPicture(webp, signature_of(webp))
        with connections() as connection:
            thumbnails.add_made(connection, content, made)
    return Thumbnail(webp, content.sha256)


def sign(
    connections: Connections, content: Content, read: Callable[[], bytes], limits: Limits
) -> None:
    """Store the signature of an image, and its thumbnail if there is none, if the role may.

    Raises:
        ImageError: There is no thumbnail, and the image cannot be read or decoded.
    """
    made = thumbnail(connections, content, read, limits)
    with connections() as connection:
        if thumbnails.unsigned(connection, [content], VERSION):
            thumbnails.sign(connection, content.sha256, signature_of(made.data))


def signature_of(webp: bytes) -> Signature:
    """Return the signature of a picture from its thumbnail.

    Raises:
        UnreadableImage: The bytes are no picture.
    """
    return signature(upright(webp, SIDE * SIDE))


def rendered(data: bytes, side: int, limits: Limits) -> bytes:
    """Return an image file as WebP, upright and sRGB, its longer side at most `side` pixels.

    Decoding takes part in the process's budget of memory.

    Raises:
        ImageError: It cannot be decoded.
    """
    with of_process(limits.memory).lent(footprint(data, side, "aspect")):
        return decode_thumbnail(data, limits.max_pixels, side)
