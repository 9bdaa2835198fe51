"""Networks are loaded once the server answers, so that the first search does not wait for one."""

import logging
import threading

from spocdb.api import Database, Engine
from spocdb.errors import SpocdbError
from spocdb.web.options import ServerOptions
from spocdb.web.requests import is_shown

# Each takes memory; a collection's own search loads its network if it is none of these.
MOST_NETWORKS = 4

log = logging.getLogger(__name__)


def warm(engine: Engine, options: ServerOptions) -> threading.Thread:
    """Load the networks of the collections that are shown, in a thread that is returned.

    A network that cannot be loaded is logged: the server answers what needs none.
    """
    thread = threading.Thread(target=_load, args=(engine, options), name="warming")
    thread.start()
    return thread


def _load(engine: Engine, options: ServerOptions) -> None:
    try:
        wanted = [
            (one.name, one.recipe)
            for one in Database(engine).extractors()
            if any(is_shown(options, name) for name in one.collections)
        ]
    except SpocdbError as exc:
        log.warning("no network is loaded before the first search: %s", exc)
        return
    for name, recipe in wanted[:MOST_NETWORKS]:
        try:
            # As a search does.
            engine.extractor(recipe, precision="float32")
        except SpocdbError as exc:
            log.warning("%s: no search by pictures: %s", name, exc)
