"""The rows of an attached table: the image is in the row, or at its path, object or URL."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from spocdb.db import rows
from spocdb.db.attachments import Attached
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.rows import AttachedRow
from spocdb.errors import ImageError, ImageTooLarge, ImageVanished, RowGone
from spocdb.records import ImageRef
from spocdb.settings import Limits
from spocdb.sources.buckets import is_object
from spocdb.sources.locations import read_below, uri_below
from spocdb.sources.objects import ObjectsSource
from spocdb.sources.source import Get, Ref, Terms

# The driver copies the server's data several times, outside the budget.
ROWS_PART_OF_MEMORY = 8


@dataclass(frozen=True, slots=True)
class RowsSource:
    """The images of an attached table, by the keys of its rows.

    A query reads at most `rows_at_once` rows, a part of the memory in `limits`, and no content
    larger than its `max_bytes`. Used by one thread, which blocks meanwhile. `objects` keeps the
    connections to object storage, and may be shared.
    """

    connection: Connection
    collection: Collection
    attached: Attached
    limits: Limits
    rows_at_once: int = 1
    objects: ObjectsSource = field(default_factory=lambda: ObjectsSource((), Terms()))

    def refs(self) -> Iterator[ImageRef]:
        """List the keys of the collection's rows.

        Raises:
            SourceBroken: The table cannot be read.
        """
        return map(ImageRef, rows.keys(self.connection, self.collection))

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield the images of these rows with the functions that read them.

        A row that does not belong to the collection any more raises RowGone when it is read.

        Raises:
            SourceBroken: The table cannot be read.
        """
        for chunk in self._chunks(refs):
            left = {name: ref for name, ref in chunk.items() if not ref.problem}
            yield from ((ref, _gone) for ref in chunk.values() if ref.problem)
            for key, row in rows.each(
                *(self.connection, self.collection, list(left), self.limits.max_bytes),
                most_at_once=self.limits.memory // ROWS_PART_OF_MEMORY,
            ):
                # The attachment's SQL condition may let through rows that were not requested.
                if ref := left.pop(key, None):
                    yield self._told(ref, row)
            yield from ((ref, _gone) for ref in left.values())

    def covers(self, name: str) -> bool:
        """Return True: every image of the collection is of a row."""
        return True

    def exists(self, name: str) -> bool:
        """Return whether a row of this key belongs to the collection.

        Raises:
            SourceBroken: The table cannot be read.
        """
        return bool(rows.find(self.connection, self.collection, [name]))

    def _chunks(self, refs: Iterable[Ref]) -> Iterator[dict[str, Ref]]:
        chunk: dict[str, Ref] = {}
        for ref in refs:
            # A row that changed after it was leased may be leased a second time.
            if ref.name in chunk:
                yield chunk
                chunk = {}
            chunk[ref.name] = ref
            if len(chunk) == self.rows_at_once:
                yield chunk
                chunk = {}
        if chunk:
            yield chunk

    def _told(self, ref: Ref, row: AttachedRow | ImageError) -> tuple[Ref, Get]:
        if isinstance(row, ImageError):
            return replace(ref, problem=row), _gone
        ref = replace(ref, size=row.size, metadata=row.metadata)
        return ref, partial(self._read, row)

    def _read(self, row: AttachedRow, max_bytes: int) -> bytes:
        if row.size > max_bytes:
            raise ImageTooLarge(
                f"{row.size} bytes are over the limit of {max_bytes}: raise SPOCDB_MAX_BYTES",
                field="max_bytes",
                bound=max_bytes,
            )
        if row.content is not None:
            return row.content
        if row.location is None:
            # The row changed after it was selected, or the column's type casts to NULL.
            raise ImageVanished("the row has no image any more")
        root = self.attached.root
        if root is None:
            # Imported here, because httpx would take a sixth of the start of every command.
            from spocdb.sources.fetching import fetch

            return fetch(row.location, max_bytes, allow_private=self.attached.allow_private)
        if is_object(root):
            return self.objects.get(uri_below(root, row.location), max_bytes)
        return read_below(root, row.location, max_bytes)


def _gone(max_bytes: int) -> bytes:
    raise RowGone("the row is gone")
