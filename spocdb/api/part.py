"""The base class of the API's parts."""

from spocdb.api.engine import Engine


class Part:
    """Methods of one subject on an engine. It has no other state, so that threads can share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
