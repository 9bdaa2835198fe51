"""How an ingest is divided for a Ray cluster: units of images, and actors of a node."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spocdb.distributed.actor import UNITS_AT_ONCE, Share
from spocdb.distributed.units import IMAGES_A_UNIT, units_of
from spocdb.records import ImageRef
from spocdb.settings import from_environment


def test_units_are_archives_and_hundreds_of_images_that_are_wanted(tmp_path: Path) -> None:
    archive, later = tmp_path / "a.tar", tmp_path / "b.zip"
    for file in (archive, later):
        file.write_bytes(b"")
    images = [ImageRef(f"/x/{n}.jpg", "1") for n in range(2 * IMAGES_A_UNIT + 1)]
    in_archive = ImageRef(f"{archive}/1.jpg", "1")

    def wanted(refs: Iterable[ImageRef]) -> Iterator[ImageRef]:
        assert not isinstance(refs, list), "they are listed as they are asked for"
        return (ref for ref in refs if ref.name != "/x/0.jpg")

    refs = [*images, ImageRef(str(archive), "1"), ImageRef(str(later), "1"), in_archive]
    units = [*units_of(iter(refs), wanted)]
    assert [len(unit.refs) for unit in units] == [IMAGES_A_UNIT, IMAGES_A_UNIT, 0, 0, 1]
    assert [unit.archive for unit in units] == ["", "", str(archive), str(later), ""]
    assert [str(unit) for unit in (units[0], units[2])] == ["/x/1.jpg", str(archive)]


@pytest.mark.parametrize(
    ("resources", "device", "cores", "gpus"),
    [
        ({"CPU": 8.0}, "auto", [8], False),
        ({"CPU": 8.0}, "cuda", [], False),
        ({"CPU": 8.0, "GPU": 2.0}, "auto", [4, 4], True),
        ({"CPU": 8.0, "GPU": 2.0}, "cpu", [8], False),
        ({"CPU": 1.0, "GPU": 2.0}, "cuda", [1, 1], True),
        ({"memory": 1e9}, "auto", [], False),
    ],
)
def test_a_node_has_an_actor_for_each_gpu_or_one_for_its_cpus(
    resources: dict[str, float], device: str, cores: list[int], gpus: bool
) -> None:
    ray = pytest.importorskip("spocdb.distributed.ray")
    node: dict[str, Any] = {"NodeID": "1", "NodeManagerHostname": "a", "Resources": resources}
    seats = ray.seats_of(node, device)
    assert [seat.share.n_cores for seat in seats] == cores
    assert {seat.has_gpu for seat in seats} <= {gpus}
    assert {seat.share.n_actors for seat in seats} <= {len(cores)}


def test_the_actors_of_a_node_share_its_memory_and_cores() -> None:
    settings = from_environment("postgresql://x", {"SPOCDB_THREADS": "8"})
    part = Share(4, 2).of(settings)
    assert (part.threads, part.memory) == (4, settings.memory // (2 * UNITS_AT_ONCE))
    assert Share(16, 1).of(replace(settings, threads=3)).threads == 3
