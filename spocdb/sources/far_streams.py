"""A far file that is read in order, because its server sends it only as a whole."""

from typing import TYPE_CHECKING

from spocdb.errors import ImageVanished
from spocdb.sources import far_files
from spocdb.sources.far_files import Described, FarBytes
from spocdb.sources.far_urls import repeated

if TYPE_CHECKING:
    from spocdb.sources.streams import Body


class FarStream(FarBytes):
    """A far file that is read in order; `described` is what `FarBytes` takes.

    To read again what is not in the window any more is to begin again.
    """

    is_in_order = True

    def __init__(self, body: "Body", *described: *Described) -> None:
        super().__init__(*described)
        self._body = body

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Read bytes at an offset; fewer at the end of the file.

        Raises:
            ImageVanished: It was changed since it was opened, or cannot be read.
        """
        data, block = bytearray(), far_files.BLOCK
        while len(data) < n_bytes:
            n, start = divmod(offset + len(data), block)
            piece = self._block(n)[start : start + n_bytes - len(data)]
            if not piece:
                break
            data += piece
        return bytes(data)

    def _block(self, n: int) -> bytes:
        # None is asked for ahead: they come one after the other.
        return self._window.block((self._name, self.version, n), 0, self._get)

    def _get(self, n: int) -> bytes:
        from spocdb.sources.streams import Changed

        try:
            return repeated(lambda: self._body.read(n, self._keep))
        except Changed:
            raise self._other() from None
        except ImageVanished as error:
            raise self._gone(error) from error.__cause__

    def _keep(self, n: int, data: bytes) -> None:
        self._window.keep((self._name, self.version, n), data)
