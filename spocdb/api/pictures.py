"""The pictures of stored images in the API: their bytes and their thumbnails."""

import hashlib

from spocdb import thumbnails as making
from spocdb.api.images import Images
from spocdb.db import thumbnails
from spocdb.errors import ImageChanged, InvalidValue
from spocdb.thumbnails import Thumbnail

# WebP's own limit.
LARGEST_SIDE = 16383


class Pictures(Images):
    """Methods of Database that return what an image looks like."""

    def read(self, id: int) -> bytes:
        """Return the bytes of a stored image, from its file or through its table's row.

        Raises:
            ImageNotFound: there is no image with this id.
            ImageVanished: its file or its row's image is gone, or cannot be read.
            ImageChanged: it has other bytes than when it was stored.
            ImageTooLarge: it has more bytes than the settings allow.
            ImageError: it cannot be read for another reason.
            SourceBroken: its table was dropped or altered.
        """
        with self._engine.connection() as connection:
            found = thumbnails.content(connection, id)
        data = self.reader(found.collection)(found.path)
        if hashlib.sha256(data).digest() != found.sha256:
            raise ImageChanged("it has other bytes than when it was stored")
        return data

    def thumbnail(self, id: int) -> Thumbnail:
        """Return the thumbnail of an image: at most 256 x 256 pixels, upright, WebP.

        Ingests and workers store one of each image that they decode. A missing one is made of the
        image's bytes, and stored if the role may write.

        Raises:
            ImageNotFound: there is no image with this id.
            ImageError: none is stored, and the image cannot be read (see `read`) or decoded.
            SourceBroken: none is stored, and the image's table was dropped or altered.
        """
        engine = self._engine
        return making.thumbnail(engine.connection, id, self.read, engine.settings.limits)

    def picture(self, id: int, side: int = 1024) -> bytes:
        """Return an image as a WebP file, re-encoded: upright, sRGB, without metadata.

        Args:
            id: the image.
            side: the most pixels of its longer side, 1 to 16383; it is never enlarged.

        Raises:
            ImageNotFound: there is no image with this id.
            InvalidValue: `side` is out of range.
            ImageError: it cannot be read (see `read`) or decoded.
            SourceBroken: its table was dropped or altered.
        """
        if not 1 <= side <= LARGEST_SIDE:
            raise InvalidValue("side", side, f"1 to {LARGEST_SIDE}")
        return making.rendered(self.read(id), side, self._engine.settings.limits)
