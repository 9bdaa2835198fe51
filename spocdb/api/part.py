"""What all parts of the API are made of."""

from spocdb.api.engine import Engine


class Part:
    """Methods of one subject, on an engine's database. It holds nothing else: threads share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
