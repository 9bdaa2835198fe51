"""Cores and memory are those that the process may use: a container's limits count."""

import os
from pathlib import Path

import pytest

from spocdb import machine

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
ALLOWED = len(os.sched_getaffinity(0))


class Groups:
    """A tree of control groups, and the file that names the process's own group."""

    def __init__(self, folder: Path) -> None:
        self.root, self.membership = folder / "cgroup", folder / "membership"
        self.membership.write_text("")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    @property
    def n_cores(self) -> int:
        return machine.n_cores(self.root, self.membership)

    @property
    def memory(self) -> int:
        return machine.memory(self.root, self.membership)


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


def test_without_limits_it_is_the_machine(groups: Groups) -> None:
    assert (groups.n_cores, groups.memory) == (ALLOWED, PHYSICAL)
    groups.write("cpu.max", "max 100000")
    groups.write("memory.max", "max")
    assert (groups.n_cores, groups.memory) == (ALLOWED, PHYSICAL)


@pytest.mark.parametrize(("quota", "n"), [(50_000, 1), (100_000, 1), (150_000, 2), (10**9, 10**4)])
def test_a_quota_is_rounded_up(groups: Groups, quota: int, n: int) -> None:
    groups.write("cpu.max", f"{quota} 100000")
    assert groups.n_cores == min(n, ALLOWED)


def test_limits_of_all_groups_above_count(groups: Groups) -> None:
    groups.membership.write_text("0::/outer/inner\n")
    groups.write("outer/inner/memory.max", "max")
    groups.write("outer/inner/cpu.max", "max 100000")
    groups.write("outer/memory.max", str(2**28))
    groups.write("outer/cpu.max", "100000 100000")
    assert (groups.n_cores, groups.memory) == (1, 2**28)


def test_version_1_has_a_tree_for_each_controller(groups: Groups) -> None:
    groups.membership.write_text("4:memory:/box\n2:cpuacct,cpu:/box\n0::/\n")
    groups.write("memory/box/memory.limit_in_bytes", str(2**28))
    groups.write("cpu/box/cpu.cfs_quota_us", "50000")
    groups.write("cpu/box/cpu.cfs_period_us", "100000")
    assert (groups.n_cores, groups.memory) == (1, 2**28)
    # No quota; the number is version 1's way to write no limit.
    groups.write("cpu/box/cpu.cfs_quota_us", "-1")
    groups.write("memory/box/memory.limit_in_bytes", "9223372036854771712")
    assert (groups.n_cores, groups.memory) == (ALLOWED, PHYSICAL)


def test_in_a_container_the_own_group_may_be_mounted_as_the_root(groups: Groups) -> None:
    groups.membership.write_text("4:memory:/host/docker/abc\n0::/../outside\n")
    groups.write("memory/memory.limit_in_bytes", str(2**27))
    groups.write("memory.max", str(2**28))
    assert groups.memory == 2**27


def test_this_machine_has_both() -> None:
    assert 1 <= machine.n_cores() <= ALLOWED
    assert 0 < machine.memory() <= PHYSICAL
