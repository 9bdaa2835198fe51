"""A collection on several servers as the destination of an ingest."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spocdb import choosing, metadata, pruning
from spocdb.choosing import Chosen
from spocdb.db import attachments, catalogue, collections, images, runs
from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.db.moves import Moves
from spocdb.distributed.shards import projecting
from spocdb.distributed.shards.servers import Server, Servers, check_places, check_recipes
from spocdb.distributed.shards.sink import Part, ShardsSink
from spocdb.features.selection import Wanted
from spocdb.pipeline.caution import Caution
from spocdb.pipeline.options import OnProgress
from spocdb.pipeline.run import run
from spocdb.progress import Progress
from spocdb.pruning import GoneRoot
from spocdb.records import ImageRef, Recipe
from spocdb.sources.source import Given, Source
from spocdb.storing import StoringOptions, chosen, write_recorded

if TYPE_CHECKING:
    from spocdb.pipeline.extraction import OnDemand

# Returns which names are stored in their version, and which have failed in it.
Unchanged = Callable[[Sequence[ImageRef]], tuple[set[str], set[str]]]


class ShardedCollection:
    """The collection `name`, of which each server has a part, see `Destination`.

    `held` has a connection to each server. The run is recorded on the first one.
    """

    def __init__(self, servers: Servers, held: Sequence[Connection], name: str) -> None:
        self._servers, self._held, self._name = servers, held, name
        # Until it is created, some may lack it: an ingest was killed while it was.
        self._there: list[Collection] = []
        self._parts: list[Part] = []

    def find(self, *, must: bool) -> bool:
        """See Destination. Of a collection that some servers lack, the others say the recipe."""

        def find(server: Server, connection: Connection) -> Collection | None:
            if found := collections.find(connection, self._name):
                check_places(connection, server, found)
            return found

        found = self._servers.with_each(self._held, find)
        self._there = [part for part in found if part]
        if must and not self._there:
            # Raises: nobody has it.
            collections.get(self._held[0], self._name)
        if len(self._there) < len(self._servers):
            return False
        self._opened(self._there)
        return True

    def check_partitions(self, partitions: int | None) -> None:
        """See Destination."""
        there: list[Collection | None] = [*self._there]
        for part in there or [None]:
            collections.check_partitions(part, partitions)

    def refuse_attached(self) -> None:
        """See Destination."""
        for part in self._parts:
            attachments.refuse(part.connection, part.collection)

    def knows(
        self, progress: Progress, *, retry_failed: bool, exif: bool
    ) -> Callable[[ImageRef], bool]:
        """See Destination. The images of an archive are on all servers: each archive is opened."""
        return lambda archive: False

    def gone_roots(self, source: Given) -> list[GoneRoot]:
        """See Destination."""
        return pruning.gone_roots(self._pairs(), source)

    def choose(self, wanted: Wanted, cache_dir: Path) -> Chosen:
        """See Destination."""
        found = self._there[0] if self._there else None
        return choosing.choose(self._held[0], wanted, found, cache_dir)

    def create(
        self,
        chosen: Chosen,
        wanted: Wanted,
        cache_dir: Path,
        load: Callable[[Recipe], object],
        partitions: int | None,
    ) -> Recipe:
        """See Destination."""
        if not self._parts:
            self._opened(
                choosing.create(connection, self._name, chosen, wanted, cache_dir, load, partitions)
                for connection in self._held
            )
        return self._parts[0].collection.recipe

    def stage_metadata(self, file: Path, source: Given, progress: Progress) -> None:
        """See Destination."""
        metadata.stage(self._held, file, source, progress)

    def apply_metadata(self) -> None:
        """See Destination."""
        metadata.apply(self._pairs())

    def failed(self) -> Sequence[str]:
        """See Destination."""
        return sorted({name for pair in self._pairs() for name in runs.failed(*pair)})

    def changed(self, refs: Iterable[ImageRef], progress: Progress, *, exif: bool) -> int:
        """See Destination."""
        unchanged = self._unchanged(exif=exif)
        wanted = chosen(refs, unchanged, lambda names: None, progress, retry_failed=False)
        return sum(1 for _ in wanted)

    def store(
        self,
        source: Source,
        refs: Iterable[ImageRef],
        extractor: "Callable[[], OnDemand]",
        options: StoringOptions,
        progress: Progress,
        on_progress: OnProgress,
    ) -> None:
        """See Destination."""
        wanted = chosen(
            *(refs, self._unchanged(exif=options.run.exif)),
            *(lambda names: self._forget_failures([*names]), progress),
            retry_failed=options.retries,
        )
        write = partial(self._write, source, extractor, options, progress, on_progress)
        first = self._parts[0]
        write_recorded(
            *(first.connection, first.collection, wanted, write, options, progress, on_progress)
        )

    def noted(self, source: Given, refs: Iterable[ImageRef]) -> Iterator[ImageRef]:
        """See Destination. That an archive failed is forgotten, and nothing else noted."""
        yield from refs
        self._forget_failures([one.name for one in source.whole])

    def _forget_failures(self, names: Sequence[str]) -> None:
        if names:
            self._servers.with_each(
                self._pairs(), lambda _, pair: images.forget_failures(*pair, names)
            )

    def prune(self, source: Source, *, dry_run: bool = False) -> int:
        """See Destination."""
        return sum(pruning.prune(*pair, source, dry_run=dry_run) for pair in self._pairs())

    def settle(self, auto_pca: int) -> None:
        """See Destination."""
        projecting.settle(self._servers, self._pairs(), auto_pca)

    def catch_up(self, doing: Callable[[str], None]) -> None:
        """See Destination. Near-duplicates are not looked for among several servers."""

    def _opened(self, found: Iterable[Collection]) -> None:
        parts = [*found]
        check_recipes(parts)
        self._parts = [Part(*pair) for pair in zip(self._held, parts, strict=True)]

    def _pairs(self) -> list[tuple[Connection, Collection]]:
        return [(part.connection, part.collection) for part in self._parts]

    def _unchanged(self, *, exif: bool) -> Unchanged:
        """Return what finds out about names, see `storing.chosen`.

        A name that two servers have is stored again, which leaves it on one: an ingest was killed
        between the two steps of moving it.
        """

        def unchanged(refs: Sequence[ImageRef]) -> tuple[set[str], set[str]]:
            names = [ref.name for ref in refs]

            def ask(_: Server, part: Part) -> tuple[set[str], set[str], set[str]]:
                connection, collection = part.connection, part.collection
                there = {*catalogue.at_paths(connection, collection, names)}
                return *images.unchanged(connection, collection, refs, exif=exif), there

            found = self._servers.with_each(self._parts, ask)
            n_servers = Counter(name for *_, there in found for name in there)
            stored = {name for stored, *_ in found for name in stored if n_servers[name] == 1}
            failed = {name for _, failed, _ in found for name in failed}
            return stored, failed - stored

        return unchanged

    def _write(
        self,
        source: Source,
        extractor: "Callable[[], OnDemand]",
        options: StoringOptions,
        progress: Progress,
        on_progress: OnProgress,
        refs: Iterable[ImageRef],
        n_apart: int,
    ) -> None:
        """Read these images, describe and write them; the first `n_apart` are decoded apart."""
        lost = {name for pair in self._pairs() for name in runs.lost(*pair)}
        moves = [Moves(source.exists) if options.moves else None for _ in self._parts]
        with ExitStack() as stack:
            writers = [
                stack.enter_context(connection)
                for connection in self._servers.each(lambda server: server.connect())
            ]
            sink = ShardsSink(self._servers, self._parts, writers, progress, moves)
            caution = Caution(n_apart, lost)
            run(source, refs, extractor(), sink, options.run, progress, on_progress, caution)
        progress.refuse(sink.n_refused)
