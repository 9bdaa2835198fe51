"""A cluster as one more way to store the images of an ingest.

    listing -> new and changed images -> units, as nodes ask for them -> counts

This process lists, and asks the database which images are new. What speaks to Ray is a child
(spocdb/distributed/ray.py). If it or this process ends, Ray ends the actors of the run; what they
wrote stays, and the next run skips it.
"""

import importlib.util
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING

from spocdb.db.collections import Collection
from spocdb.db.connections import Connection
from spocdb.distributed.actor import Job, Order
from spocdb.distributed.channel import Channel
from spocdb.distributed.units import Unit, units_of
from spocdb.errors import ClusterLost, ConfigError
from spocdb.pipeline.options import OnProgress
from spocdb.progress import Progress
from spocdb.records import ImageRef
from spocdb.sources.source import Source
from spocdb.storing import StoringOptions, recorded

if TYPE_CHECKING:
    from spocdb.pipeline.extraction import OnDemand

log = logging.getLogger(__name__)

# "auto" is the cluster that runs on this machine.
ADDRESS = re.compile(r"auto|(?P<host>[\w.-]+|\[[\da-fA-F:]+\]):(?P<port>\d{1,5})")
# To reach the head's port, and until Ray has connected.
SECONDS_TO_REACH, SECONDS_TO_CONNECT = 10.0, 60.0

PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; from spocdb.distributed.ray import serve; serve()"
)


class Cluster:
    """A Ray cluster that this process is connected to; see `connected`."""

    def __init__(self, address: str, channel: Channel) -> None:
        self._address, self._channel = address, channel

    def store(
        self,
        order: Order,
        connection: Connection,
        connect: Callable[[], Connection],
        collection: Collection,
        source: Source,
        refs: Iterable[ImageRef],
        extractor: "Callable[[], OnDemand]",
        options: StoringOptions,
        progress: Progress,
        on_progress: OnProgress = lambda progress: None,
    ) -> None:
        """Store the images that are new or changed on the cluster's nodes, see `Store`.

        Raises:
            ClusterLost: The cluster was lost, or no node of it can take part.
            SpocdbError: A node raised it.
        """
        with recorded(connection, collection, progress, on_progress):
            units = units_of(
                refs, lambda some: options.wanted(connection, collection, some, progress)
            )
            if (first := next(units, None)) is not None:
                progress.doing = "waiting for the nodes of the cluster"
                job = Job(order, collection.name, options)
                self._work(job, chain([first], units), progress, on_progress)

    def _work(
        self, job: Job, units: Iterator[Unit], progress: Progress, on_progress: OnProgress
    ) -> None:
        try:
            self._channel.send(job)
            for kind, value in self._channel.messages():
                match kind:
                    case "open":
                        progress.doing = ""
                    case "want":
                        self._channel.send(next(units, None))
                    case "done":
                        progress.add(value)
                        on_progress(progress)
                    case "warn":
                        log.warning("%s", value)
                    case "error":
                        raise value
                    case "bug":
                        raise RuntimeError(value)
                    case "end":
                        return
        except (EOFError, BrokenPipeError):
            raise ClusterLost(
                f"the Ray cluster at {self._address} was lost; what was written stays: "
                "do the same again"
            ) from None


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to a Ray cluster for the block. `address` is HOST:PORT of its head, or "auto".

    Raises:
        ConfigError: The address is malformed, or Ray is not installed.
        ClusterLost: The cluster cannot be reached within about a minute.
    """
    _check(address)
    process = subprocess.Popen(
        # As other children: this process's module path, and nothing from the current folder. Ray
        # shows the command line, and looks for modules in the current folder, on all nodes.
        [sys.executable, "-P", "-c", PROGRAM, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # Ctrl-C is handled here.
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    channel = Channel(process.stdout, process.stdin)
    try:
        channel.send(address)
        _wait_for(channel, address)
        yield Cluster(address, channel)
    finally:
        # Without its parent it has nothing to do, and Ray ends its actors.
        process.kill()
        process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()


def _wait_for(channel: Channel, address: str) -> None:
    if not channel.comes(SECONDS_TO_CONNECT):
        raise ClusterLost(
            f"no Ray cluster answers at {address} within {SECONDS_TO_CONNECT:.0f} s: {HINT}"
        )
    try:
        kind, value = channel.receive()
    except EOFError:
        raise ClusterLost(f"cannot connect to the Ray cluster at {address}: {HINT}") from None
    if kind == "error":
        raise value


# What most often is wrong.
HINT = "name its head as HOST:PORT, and run the ingest on a machine of the cluster"


def _check(address: str) -> None:
    """Raise if the address is none, Ray is not installed, or nothing listens there."""
    found = ADDRESS.fullmatch(address)
    if not found:
        raise ConfigError(
            f"ray must be HOST:PORT or auto, not {address}: {HINT}",
            field="ray",
            bound="HOST:PORT or auto",
        )
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("ingesting on a Ray cluster needs a package: pip install 'spocdb[ray]'")
    if found["host"]:
        try:
            place = found["host"].strip("[]"), int(found["port"])
            socket.create_connection(place, SECONDS_TO_REACH).close()
        except (OSError, OverflowError) as exc:
            reason = getattr(exc, "strerror", None) or exc
            raise ClusterLost(f"no Ray cluster answers at {address} ({reason}): {HINT}") from None
