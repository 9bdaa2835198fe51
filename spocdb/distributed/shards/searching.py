"""Search on all servers at once, by one projection, and merge what they find."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from spocdb import search
from spocdb.db import catalogue, collections, shards
from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.db.search import Hit
from spocdb.distributed.shards.routing import own_id, whole_id
from spocdb.distributed.shards.servers import Server, Servers
from spocdb.errors import ConfigError, ProjectionNotFound
from spocdb.records import Float32Array
from spocdb.search import NOTHING_MORE, Describe, Request


def nearest(
    servers: Servers,
    parts: Sequence[Collection],
    numbers: Sequence[int],
    query: Float32Array,
    request: Request,
) -> list[Hit]:
    """Return the images nearest to an embedding (N,), of all servers.

    Each server is asked for k, by the projection that has this number there. Equal distances are
    ordered by id, as on one server.
    """

    def ask(server: Server, item: tuple[Collection, int]) -> list[Hit]:
        part, number = item
        with server.connection() as connection:
            own = replace(request, projection=number)
            found = search.nearest(connection, part.name, query, own)
        return [replace(hit, id=whole_id(hit.id, server.place, server.n)) for hit in found]

    found = servers.with_each([*zip(parts, numbers, strict=True)], ask)
    return request.within(merged(found))


def merged(found: Iterable[Iterable[Hit]]) -> list[Hit]:
    """Return the hits of all servers, nearest first, equally near ones by id."""
    return sorted((hit for hits in found for hit in hits), key=lambda hit: (hit.distance, hit.id))


def searched(
    servers: Servers, parts: Sequence[Collection], describe: Describe, request: Request
) -> list[Hit]:
    """Return the images that look most like the query; see `search.search`."""
    refuse_unmerged(request)
    numbers = numbers_of(servers, parts, request.projection)
    query = search.embed(servers.first.connection, parts[0], describe, numbers[0])
    return nearest(servers, parts, numbers, query, request)


def similar(servers: Servers, parts: Sequence[Collection], id: int, request: Request) -> list[Hit]:
    """Return the images that look most like a stored one, without it.

    Raises:
        ImageNotFound: There is no image with this id.
    """
    refuse_unmerged(request)
    place, own = own_id(id, len(servers))
    numbers = numbers_of(servers, parts, request.projection)

    server, part = servers[place], parts[place]
    with server.named(), server.connection() as connection:
        if catalogue.unknown(connection, part, [own]):
            raise catalogue.none_of(part, [str(id)])
        query = db_search.embedding(connection, part.name, own, numbers[place])
    hits = nearest(servers, parts, numbers, query, request.more(1))
    return [hit for hit in hits if hit.id != id][: request.k]


def numbers_of(servers: Servers, parts: Sequence[Collection], projection: int | None) -> list[int]:
    """Return the number on each server of the first one's active projection, or of another one.

    Raises:
        ProjectionNotFound: A server has no embeddings by it.
    """
    with servers.first.named(), servers.first.connection() as connection:
        first = collections.get(connection, parts[0].name)
        number = projection or first.active_projection_id
        wanted = shards.fingerprint(connection, number)

    def own(server: Server, part: Collection) -> int:
        with server.connection() as connection:
            if (found := shards.kept(connection, part, wanted)) is None:
                raise ProjectionNotFound(
                    f"collection {part.name} has no embeddings by projection {number} of the first "
                    f"server: run `db.pca.activate({number}, collection={part.name!r})`"
                )
            return found

    return servers.with_each(parts, own)


def refuse_unmerged(request: Request) -> None:
    """Raise ConfigError for what would need the images of all servers in one database."""
    more = request.refinement
    for name, is_asked in (
        ("expand", more.expand > NOTHING_MORE.expand),
        ("rerank", more.rerank > NOTHING_MORE.rerank),
        ("collapse", request.collapse),
    ):
        if is_asked:
            raise ConfigError(
                f"{name} is not for a collection on several servers: search without it, or on one "
                "of them",
                field=name,
            )
