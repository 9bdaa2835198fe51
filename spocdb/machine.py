"""The cores and memory that this process may use, within a container's limits.

Linux keeps a container's limits in control groups (cgroups), version 2 or 1. A limit may be set on
any group above the process, so all of them are read. Other systems have only the machine's own
numbers.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def n_cores(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return the cores to use: those the scheduler allows, at most the CPU quota rounded up."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    # Using up a quota of 1.5 cores takes two threads.
    return max(1, min([allowed, *(-int(-quota // 1) for quota in _quotas(groups, membership))]))


def memory(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return the machine's memory in bytes, at most the container's limit."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    files = [
        *_files(groups, membership, "", "memory.max"),
        *_files(groups, membership, "memory", "memory.limit_in_bytes"),
    ]
    return min([physical, *(int(text) for text in files if text.isdecimal())])


def _quotas(groups: Path, membership: Path) -> Iterator[float]:
    """Yield the CPU quotas above this process, in cores; no quota is "max" (v2) or -1 (v1)."""
    for text in _files(groups, membership, "", "cpu.max"):
        quota, _, period = text.partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)
    quotas = _files(groups, membership, "cpu", "cpu.cfs_quota_us")
    periods = _files(groups, membership, "cpu", "cpu.cfs_period_us")
    for quota, period in zip(quotas, periods, strict=False):
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)


def _files(groups: Path, membership: Path, controller: str, name: str) -> Iterator[str]:
    """Yield the contents of a file in the process's group and in each group above it.

    `controller` is "" for version 2. In a container the process's group may be mounted as the root
    itself, so missing folders are skipped.
    """
    root = groups / controller
    below = _group(membership, controller).strip("/")
    folder = root / below if below and ".." not in below else root
    while True:
        with suppress(OSError):
            text = (folder / name).read_text()
            yield text.strip()
        if folder == root:
            return
        folder = folder.parent


def _group(membership: Path, controller: str) -> str:
    """Return the path of the process's group; lines are "ID:CONTROLLER,...:PATH"."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return "/"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"
