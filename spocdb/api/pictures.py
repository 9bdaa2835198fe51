"""The pictures of stored images in the API: their bytes and their thumbnails."""

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from spocdb import checks
from spocdb.api.images import Images
from spocdb.errors import ImageChanged

if TYPE_CHECKING:
    from spocdb.db.thumbnails import Content
    from spocdb.thumbnails import Thumbnail

# WebP's own limit.
LARGEST_SIDE = 16383


class Pictures(Images):
    """Methods of Database that return what an image looks like."""

    def content(self, id: int) -> "Content":
        """Return where the bytes of an image are, and their sha256.

        Raises:
            ImageNotFound: there is no image with this id.
            InvalidValue: it is no integer.
        """
        from spocdb.db import thumbnails

        with self._engine.connection() as connection:
            return thumbnails.content(connection, checks.image_id(id))

    def read(self, image: "int | Content") -> bytes:
        """Return the bytes of a stored image, from its file or through its table's row.

        Args:
            image: its id, or what `content` returned for it.

        Raises:
            ImageNotFound: there is no image with this id.
            InvalidValue: it is no integer.
            ImageVanished: its file or its row's image is gone, or cannot be read.
            ImageChanged: it has other bytes than when it was stored.
            ImageTooLarge: it has more bytes than the settings allow.
            ImageError: it cannot be read for another reason.
            SourceBroken: its table was dropped or altered.
        """
        found = self._content(image)
        data = self.reader(found.collection)(found.path)
        if hashlib.sha256(data).hexdigest() != found.sha256:
            raise ImageChanged("it has other bytes than when it was stored")
        return data

    def thumbnail(self, image: "int | Content") -> "Thumbnail":
        """Return the thumbnail of an image: at most 256 x 256 pixels, upright, WebP.

        Ingests and workers store one of each image that they decode. A missing one is made of the
        image's bytes, and stored if the role may write.

        Args:
            image: its id, or what `content` returned for it.

        Raises:
            ImageNotFound: there is no image with this id.
            InvalidValue: it is no integer.
            ImageError: none is stored, and the image cannot be read (see `read`) or decoded.
            SourceBroken: none is stored, and the image's table was dropped or altered.
        """
        from spocdb import thumbnails as making

        found, engine = self._content(image), self._engine
        read = partial(self.read, found)
        return making.thumbnail(engine.connection, found, read, engine.settings.limits)

    def picture(self, image: "int | Content", side: int = 1024) -> bytes:
        """Return an image as a WebP file, re-encoded: upright, sRGB, without metadata.

        Args:
            image: its id, or what `content` returned for it.
            side: the most pixels of its longer side, 1 to 16383; it is never enlarged.

        Raises:
            ImageNotFound: there is no image with this id.
            InvalidValue: it is no integer, or `side` is out of range.
            ImageError: it cannot be read (see `read`) or decoded.
            SourceBroken: its table was dropped or altered.
        """
        from spocdb import thumbnails as making

        most = checks.whole("side", side, 1, LARGEST_SIDE)
        return making.rendered(self.read(image), most, self._engine.settings.limits)

    def _content(self, image: "int | Content") -> "Content":
        from spocdb.db.thumbnails import Content

        return image if isinstance(image, Content) else self.content(image)
