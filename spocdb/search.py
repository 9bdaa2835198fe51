"""Search: a query image takes the same way as the gallery's, then one SQL statement."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spocdb.db import search as db_search
from spocdb.db.collections import Collection
from spocdb.db.engine import Connection
from spocdb.db.search import Hit
from spocdb.images.decode import decode
from spocdb.records import Crop

if TYPE_CHECKING:
    from spocdb.features.extractor import Extractor


def search(
    connection: Connection,
    collection: Collection,
    data: bytes,
    load_extractor: "Callable[[], Extractor]",
    k: int,
    *,
    crop: Crop | None,
    filter: dict[str, Any],
    exact: bool,
    max_pixels: int,
) -> list[Hit]:
    """Return the k images of the collection that look most like the image file in `data`.

    Raises ImageError for a bad image or crop.
    """
    recipe = collection.recipe
    decoded = decode(data, recipe.size, recipe.fit, max_pixels, crop)
    (raw,) = load_extractor().extract([decoded.pixels])
    return db_search.by_descriptor(connection, collection.name, raw, k, filter, exact=exact)
