"""A set of names in eight bytes each."""

from array import array
from bisect import bisect_left
from hashlib import blake2b

# Names per sorted run; the newest are in a Python set, which takes ten times as much for each.
RUN = 2**16
# Runs of the same length become one, up to this: a longer one would take too much memory meanwhile.
LONGEST = 2**22


class Names:
    """Names by a hash of 64 bits: of ten million, two are taken for the same once in 400,000 times.

    Of a hundred million names there are some thirty runs, which all are searched for a new one.
    """

    def __init__(self) -> None:
        self._runs: list[array[int]] = []
        self._newest: set[int] = set()

    def __len__(self) -> int:
        return len(self._newest) + sum(map(len, self._runs))

    def __contains__(self, name: str) -> bool:
        return self._has(_digest(name))

    def add(self, name: str) -> bool:
        """Add a name; return whether it is new."""
        digest = _digest(name)
        if self._has(digest):
            return False
        self._newest.add(digest)
        if len(self._newest) == RUN:
            self._keep(array("Q", sorted(self._newest)))
            self._newest = set()
        return True

    def _keep(self, run: "array[int]") -> None:
        while self._runs and len(self._runs[-1]) == len(run) < LONGEST:
            run = _merged(self._runs.pop(), run)
        self._runs.append(run)

    def _has(self, digest: int) -> bool:
        return digest in self._newest or any(_is_in(run, digest) for run in self._runs)


def _merged(one: "array[int]", other: "array[int]") -> "array[int]":
    # Imported here, because few sources have so many names, and NumPy takes a tenth of a second.
    import numpy as np

    merged = one + other
    np.frombuffer(merged, np.uint64).sort(kind="stable")
    return merged


def _is_in(run: "array[int]", digest: int) -> bool:
    at = bisect_left(run, digest)
    return at < len(run) and run[at] == digest


def _digest(name: str) -> int:
    data = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest())
