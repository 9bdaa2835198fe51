"""Messages between the ingesting process and the one that speaks to Ray.

Ray ends a process that loses its cluster, prints to its standard streams, replaces its handlers of
signals and shows its command line to all users of the cluster. So it gets a process of its own.
"""

import pickle
import select
from collections.abc import Iterator
from typing import IO, Any, Literal

# ready: connected. open: an actor takes units. want: send a unit, or None. done: the counts of a
# unit. warn: a line to log. error: a SpocdbError that ends the run. bug: a traceback. end: all is
# stored.
Kind = Literal["ready", "open", "want", "done", "warn", "error", "bug", "end"]


class Channel:
    """Two pipes to a process of the same program, which each side trusts."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def send(self, message: object) -> None:
        """Send a message. Raises BrokenPipeError if the other side is gone."""
        pickle.dump(message, self._outgoing)
        self._outgoing.flush()

    def receive(self) -> Any:
        """Wait for a message and return it. Raises EOFError if the other side is gone."""
        return pickle.load(self._incoming)

    def messages(self) -> Iterator[tuple[Kind, Any]]:
        """Yield messages as they come. Raises EOFError if the other side is gone."""
        while True:
            yield self.receive()

    def comes(self, seconds: float) -> bool:
        """Return whether a message, or the end of the other side, comes within some seconds.

        Nothing of an earlier message may be left to read.
        """
        return bool(select.select([self._incoming], [], [], seconds)[0])
