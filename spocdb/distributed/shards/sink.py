"""The sink of an ingest into several servers: each content goes to the one that has it.

    works -> one batch for each server -> what lies elsewhere of these names is deleted

Each server commits its part of a batch by itself. A name whose bytes changed moves to another
server: there it is stored first, with its metadata, and only then deleted where it was. If the
ingest is killed in between, the next one finds the name on two servers and does both again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from spocdb.db import connections, images, shards, writing
from spocdb.db.batch import Batch
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.descriptors import known
from spocdb.db.moves import Moves
from spocdb.db.shards import Copy
from spocdb.db.writing import Project
from spocdb.distributed.shards.routing import place_of, place_of_name
from spocdb.distributed.shards.servers import Server, Servers
from spocdb.pipeline.work import Work
from spocdb.pipeline.writing import Write
from spocdb.progress import Progress
from spocdb.records import EXIF_ALWAYS, EXIF_KEYS, ImageRef
from spocdb.sinks import Descriptors, projecting


@dataclass(frozen=True, slots=True)
class Part:
    """A collection's part on a server, and a connection to it."""

    connection: Connection
    collection: Collection


@dataclass(frozen=True, slots=True)
class Written:
    """A part with the connection that batches are written on, and what writing needs there."""

    part: Part
    connection: Connection
    project: Project
    moves: Moves | None

    @property
    def collection(self) -> Collection:
        """Return the collection's part."""
        return self.part.collection


class ShardsSink:
    """Stores images on several servers, and the failures of bad ones."""

    def __init__(
        self,
        servers: Servers,
        parts: Sequence[Part],
        write_connections: Sequence[Connection],
        progress: Progress,
        moves: Sequence[Moves | None],
    ) -> None:
        """With `moves`, one for each server, images whose file was moved are recognised.

        The bytes of a moved file are the same, so that it stays on its server.
        """
        self._servers, self._progress = servers, progress
        for connection in write_connections:
            writing.make_staging(connection)
        self._written = [
            Written(part, connection, projecting(connection), move)
            for part, connection, move in zip(parts, write_connections, moves, strict=True)
        ]
        self.n_refused = 0

    def known(self, hashes: set[bytes]) -> set[bytes]:
        """Return the sha256 that have a raw descriptor of the collection's extractor."""

        def known_there(server: Server, there: Written) -> set[bytes]:
            own = {sha256 for sha256 in hashes if place_of(sha256, server.n) == server.place}
            extractor_id = there.collection.extractor_id
            return known(there.part.connection, extractor_id, own) if own else own

        return set().union(*self._servers.with_each(self._written, known_there))

    def batch(self, works: Sequence[Work[ImageRef]], descriptors: Descriptors) -> Write:
        """Return a function that writes the batch and counts images that a server refuses."""
        batch = Batch(
            images=[(ref, w.sha256) for w in works if not w.error for ref in w.refs],
            descriptors=descriptors,
            failures=[(ref, w.error) for w in works if w.error for ref in w.refs],
            exif={w.sha256: w.exif for w in works if w.exif},
        )
        return partial(self._write, batch)

    def cancel(self) -> None:
        """Cancel the running statements of the write connections."""
        for there in self._written:
            connections.cancel(there.connection)

    def _write(self, batch: Batch) -> None:
        elsewhere = self._elsewhere(batch)
        carried = {copy.path: copy.metadata for copies in elsewhere for copy in copies}

        def write(server: Server, there: Written) -> set[str]:
            own = _own(batch, server)
            # A name that another server has is no moved file: its image is replaced.
            fresh = replace(own, images=[i for i in own.images if i[0].name not in carried])
            replacing = replace(
                own,
                images=[
                    (_carrying(ref, carried[ref.name]), sha256)
                    for ref, sha256 in own.images
                    if ref.name in carried
                ],
                failures=(),
            )
            refused = [
                *_written(there, fresh, there.moves),
                *_written(there, replacing, None),
            ]
            return {ref.name for part in refused for ref in _refs(part)}

        refused = set().union(*self._servers.with_each(self._written, write))
        self.n_refused += len(refused)
        self._progress.n_moved = sum(t.moves.n_moved for t in self._written if t.moves)
        self._forget(batch, elsewhere, refused)

    def _elsewhere(self, batch: Batch) -> list[list[Copy]]:
        """Return for each server the images that it has of names whose bytes belong to another."""
        names = {ref.name: place_of(sha256, len(self._servers)) for ref, sha256 in batch.images}

        def copies(server: Server, there: Written) -> list[Copy]:
            others = [name for name, place in names.items() if place != server.place]
            return shards.copies(there.connection, there.collection, others) if others else []

        return self._servers.with_each(self._written, copies)

    def _forget(self, batch: Batch, elsewhere: Sequence[list[Copy]], refused: set[str]) -> None:
        """Delete what other servers have of names that are stored now, or have failed now."""
        names = {ref.name for ref in _refs(batch)}
        stored = {ref.name for ref, _ in batch.images} - refused
        failing = {ref.name for ref, _ in batch.failures}

        def forget(server: Server, there: Written) -> None:
            found = set(shards.failed(there.connection, there.collection, [*names]))
            own = {name for name in failing if place_of_name(name, server.n) == server.place}
            if past := found & (stored | (failing - own)):
                images.forget_failures(there.connection, there.collection, past)
            if gone := [copy for copy in elsewhere[server.place] if copy.path in stored]:
                shards.delete(there.connection, gone)

        self._servers.with_each(self._written, forget)


def _own(batch: Batch, server: Server) -> Batch:
    """Return what a server stores of a batch."""
    of_images = [i for i in batch.images if place_of(i[1], server.n) == server.place]
    hashes = {sha256 for _, sha256 in of_images}
    return Batch(
        images=of_images,
        descriptors={h: new for h, new in batch.descriptors.items() if h in hashes},
        failures=[f for f in batch.failures if place_of_name(f[0].name, server.n) == server.place],
        exif={h: found for h, found in batch.exif.items() if h in hashes},
    )


def _written(there: Written, batch: Batch, moves: Moves | None) -> list[Batch]:
    if not batch.images and not batch.failures:
        return []
    return writing.write(there.connection, there.collection, batch, there.project, moves)


def _carrying(ref: ImageRef, metadata: dict[str, object]) -> ImageRef:
    """Return an image with the metadata of its earlier bytes, as if it replaced them in place."""
    if all(key in metadata for key in EXIF_ALWAYS):
        metadata = {key: value for key, value in metadata.items() if key not in EXIF_KEYS}
    return replace(ref, metadata={**metadata, **ref.metadata})


def _refs(batch: Batch) -> Iterable[ImageRef]:
    return [ref for ref, _ in (*batch.images, *batch.failures)]
