"""A far file that is read in order, because its server sends it only as a whole."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from spocdb.errors import ImageVanished
from spocdb.sources import far_files
from spocdb.sources.buckets import is_missing
from spocdb.sources.far_files import CHANGED, Window, told
from spocdb.sources.far_urls import repeated

if TYPE_CHECKING:
    from spocdb.sources.streams import Body


class FarStream:
    """A far file of this version; see `Readable`. Errors call it `what`.

    `changed` is called when the file has another version by now, or is gone. To read again what is
    not in the window any more is to begin again.
    """

    is_in_order = True

    def __init__(
        self,
        body: "Body",
        window: Window,
        name: str,
        version: str,
        size: int,
        what: str,
        changed: Callable[[], None],
    ) -> None:
        self.version, self.size = version, size
        self._body, self._window, self._name = body, window, name
        self._what, self._changed = what, changed

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
            self._changed()
            raise ImageVanished(CHANGED.format(self._what)) from None
        except ImageVanished as error:
            if is_missing(error):
                self._changed()
            raise ImageVanished(f"cannot read the {self._what}: {told(error)}") from error.__cause__

    def _keep(self, n: int, data: bytes) -> None:
        self._window.keep((self._name, self.version, n), data)
