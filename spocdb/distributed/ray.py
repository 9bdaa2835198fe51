"""The process that speaks to Ray: an actor on each device of the cluster, and the units they have.

    a free actor -> a unit from the parent -> the actor stores it -> its counts to the parent

This is the only module that imports Ray. If a process or a node is lost, its units go to others;
what it had stored is skipped there. Nodes that join take part.
"""

import logging
import os
import pickle
import sys
import traceback
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from spocdb.distributed.actor import UNITS_AT_ONCE, Actor, Job, Share, own_version
from spocdb.distributed.channel import Channel
from spocdb.distributed.units import MOST_LOST, Unit
from spocdb.errors import ClusterLost, ConfigError, SpocdbError
from spocdb.text import one_line

NONE_FITS = "no node of the Ray cluster has CPUs, or GPUs for `device='cuda'`: add one"
ALL_LOST = "all nodes of the Ray cluster were lost; what was written stays: do the same again"
# How often new and lost nodes are looked for, and whether the parent is there.
SECONDS_BETWEEN_LOOKS = 2.0
# In Ray's error of an actor whose class could not be loaded, and what that means.
NOT_MADE = "in its creation task"
NOT_THERE = "spocdb {}, with which the ingest runs, cannot be loaded: install it on all machines"
# Processes that may be lost at a seat without storing a unit.
MOST_LOST_AT_A_SEAT = 3


@dataclass(eq=False, slots=True)
class Seat:
    """A device of a node, for one actor: cores, and a GPU if the node has any."""

    node_id: str
    host: str
    share: Share
    has_gpu: bool
    n_lost: int = 0


@dataclass(eq=False, slots=True)
class Member:
    """An actor at a seat; it takes units once it is open."""

    seat: Seat
    actor: Any
    is_open: bool = False
    n_units: int = 0


class Crew:
    """The actors of a run."""

    def __init__(self, channel: Channel, job: Job) -> None:
        self._channel, self._job, self._pickled = channel, job, pickle.dumps(job)
        self._members: list[Member] = []
        self._nodes: set[str] = set()
        # What each actor has to answer: a unit, or None while it opens.
        self._calls: dict[Any, tuple[Member, Unit | None]] = {}
        self._again: deque[Unit] = deque()
        self._is_listed = False
        self._was_open = False
        self._refusal: SpocdbError | None = None

    def work(self) -> None:
        """Store all units that the parent has.

        Raises:
            SpocdbError: A node raised it, or no node can take part.
            RayTaskError: An actor raised something else: a bug.
        """
        while True:
            self._look()
            self._hand_out()
            if self._is_over():
                return
            if not self._members:
                raise self._refusal or ClusterLost(ALL_LOST if self._was_open else NONE_FITS)
            ready, _ = ray.wait([*self._calls], timeout=SECONDS_BETWEEN_LOOKS)
            for call in ready:
                self._answered(call, *self._calls.pop(call))
            if self._channel.comes(0):
                raise EOFError  # the parent sends nothing unasked: it is gone

    def _look(self) -> None:
        """Start actors on nodes that are new, and forget those that are gone."""
        alive = alive_nodes()
        self._nodes &= alive.keys()
        for node_id in alive.keys() - self._nodes:
            self._nodes.add(node_id)
            for seat in seats_of(alive[node_id], self._job.order.device):
                self._start(seat)

    def _start(self, seat: Seat) -> None:
        actor = _remote(seat)
        member = Member(seat, actor)
        self._members.append(member)
        call = actor.open.remote(own_version(), self._pickled, seat.share)
        self._calls[call] = member, None

    def _hand_out(self) -> None:
        """Give units to the actors that have the fewest."""
        while free := [m for m in self._members if m.is_open and m.n_units < UNITS_AT_ONCE]:
            if (unit := self._next()) is None:
                return
            member = min(free, key=lambda member: member.n_units)
            member.n_units += 1
            self._calls[member.actor.store.remote(unit)] = member, unit

    def _next(self) -> Unit | None:
        if self._again:
            return self._again.popleft()
        if self._is_listed:
            return None
        self._channel.send(("want", None))
        unit: Unit | None = self._channel.receive()
        self._is_listed = unit is None
        return unit

    def _is_over(self) -> bool:
        has_units = any(unit for _, unit in self._calls.values())
        return self._is_listed and not self._again and not has_units

    def _answered(self, call: Any, member: Member, unit: Unit | None) -> None:
        try:
            answer = ray.get(call)
        except RayTaskError:
            raise
        except RayError as exc:
            self._lose(member, exc)
            if unit:
                self._repeat(unit)
            return
        if unit is None:
            self._opened(member, answer)
            return
        if isinstance(answer, SpocdbError):
            raise answer
        member.n_units -= 1
        member.seat.n_lost = 0
        self._channel.send(("done", answer))

    def _opened(self, member: Member, refusal: SpocdbError | None) -> None:
        if refusal is None:
            member.is_open = self._was_open = True
            self._channel.send(("open", None))
            return
        self._refusal = refusal
        self._members.remove(member)
        self._channel.send(("warn", f"a node of the cluster is not used: {refusal}"))

    def _lose(self, member: Member, exc: RayError) -> None:
        """Note that an actor is lost, and start another one if its node is there."""
        if member not in self._members:
            return
        if NOT_MADE in str(exc):
            version = own_version()
            self._opened(member, ConfigError(f"{member.seat.host}: {NOT_THERE.format(version)}"))
            return
        self._members.remove(member)
        # It may work on where the connection to it is lost. What it writes is written once.
        with suppress(RayError):
            ray.kill(member.actor)
        seat = member.seat
        seat.n_lost += 1
        self._channel.send(("warn", f"lost a process on {seat.host}: its images go to others"))
        if seat.node_id not in alive_nodes():
            return
        if seat.n_lost < MOST_LOST_AT_A_SEAT:
            self._start(seat)
        else:
            told = _first_line(exc)
            self._refusal = ClusterLost(f"{seat.host} lost {seat.n_lost} processes: {told}")

    def _repeat(self, unit: Unit) -> None:
        unit = replace(unit, n_lost=unit.n_lost + 1)
        if unit.n_lost >= MOST_LOST:
            raise ClusterLost(
                f"{unit.n_lost} processes were lost with the same images, such as {unit}: out of "
                "memory, or a crash; ingest these on one machine"
            )
        self._again.append(unit)


def alive_nodes() -> dict[str, dict[str, Any]]:
    """Return the nodes of the cluster that are there, by their ids."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node for node in nodes if node["Alive"]}


def seats_of(node: dict[str, Any], device: str) -> list[Seat]:
    """Return the seats of a node: one for each GPU, or one for all of its CPUs."""
    n_cpus = int(node["Resources"].get("CPU", 0))
    n_gpus = 0 if device == "cpu" else int(node["Resources"].get("GPU", 0))
    if device == "cuda" and not n_gpus:
        return []
    n = n_gpus or min(n_cpus, 1)
    host = node["NodeManagerHostname"]
    return [Seat(node["NodeID"], host, Share(max(1, n_cpus // n), n), n_gpus > 0) for _ in range(n)]


def serve() -> None:
    """Connect to the cluster that the parent names, and store what it sends."""
    # Ray prints to stdout.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    channel = Channel(sys.stdin.buffer, answers)
    # Without a parent nobody is told, and Ray ends the actors.
    with suppress(EOFError, BrokenPipeError):
        try:
            _connect(channel.receive())
            channel.send(("ready", None))
            Crew(channel, channel.receive()).work()
            channel.send(("end", None))
        except SpocdbError as exc:
            channel.send(("error", exc))
        except (EOFError, BrokenPipeError):
            raise
        except Exception:
            channel.send(("bug", traceback.format_exc()))
    answers.flush()
    # At once: its end ends the job, and nothing is left to wait for.
    os._exit(0)


def _connect(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as exc:
        raise ClusterLost(
            f"cannot connect to the Ray cluster at {address}: {_first_line(exc)}"
        ) from exc


def _remote(seat: Seat) -> Any:
    """Start an actor at a seat; it waits there for its CPUs."""
    options: dict[str, Any] = {
        "num_cpus": seat.share.n_cores,
        "num_gpus": int(seat.has_gpu),
        "max_concurrency": UNITS_AT_ONCE,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(seat.node_id, soft=False),
    }
    return ray.remote(**options)(Actor).remote()


def _first_line(exc: Exception) -> str:
    return one_line(str(exc).strip().partition("\n")[0])
