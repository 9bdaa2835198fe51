"""The pipeline's loop, with a source that is no folder and a sink that is no database."""

import io
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spocdb.errors import ImageChanged, ImageError, ImageTooLarge, UnreadableImage
from spocdb.features.backbones.mini import WEIGHTS as MINI
from spocdb.features.extractor import Extractor, load_extractor
from spocdb.features.plain import load as load_stack
from spocdb.features.recipes import make_recipe
from spocdb.pipeline.extraction import FEW, OnDemand
from spocdb.pipeline.options import Options
from spocdb.pipeline.run import run
from spocdb.pipeline.work import Work
from spocdb.progress import Progress
from spocdb.records import Float32Array, ImageRef, NewDescriptor
from spocdb.settings import Limits
from spocdb.sources.source import Get, Ref, locate

LIMITS = Limits(10**6, 10**6, 2**26, threads=2, ahead=4)


class TarSource:
    """The members of a tar, each read once and in order, as from a pipe."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def refs(self) -> Iterator[ImageRef]:
        with tarfile.open(self._path) as tar:
            for member in tar:
                yield ImageRef(member.name, str(member.offset_data), member.size)

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        wanted = {ref.name: ref for ref in refs}
        with tarfile.open(self._path, "r|") as tar:
            for member in tar:
                stream = tar.extractfile(member)
                if (ref := wanted.get(member.name)) and stream:
                    yield ref, holding(stream.read())

    def covers(self, name: str) -> bool:
        return True

    def exists(self, name: str) -> bool:
        return any(ref.name == name for ref in self.refs())


def holding(data: bytes) -> Get:
    def get(max_bytes: int) -> bytes:
        if len(data) > max_bytes:
            raise ImageTooLarge("too large")
        return data

    return get


class Memory:
    """A sink that keeps what it is given."""

    def __init__(self, known: Iterable[bytes] = ()) -> None:
        self.names: dict[str, bytes] = {}
        self.failures: dict[str, ImageError] = {}
        self.described = set(known)
        self.raw: dict[bytes, Float32Array] = {}
        self.thread_names: set[str] = set()

    def known(self, hashes: set[bytes]) -> set[bytes]:
        return hashes & self.described

    def batch(
        self, works: Sequence[Work[ImageRef]], descriptors: Mapping[bytes, NewDescriptor]
    ) -> Callable[[], None]:
        names = {ref.name: w.sha256 for w in works if not w.error for ref in w.refs}
        failures = {ref.name: w.error for w in works if w.error for ref in w.refs}

        def write() -> None:
            self.thread_names.add(threading.current_thread().name)
            self.described |= set(descriptors)
            self.raw |= {sha256: new.descriptor for sha256, new in descriptors.items()}
            assert set(names.values()) <= self.described
            self.names |= names
            self.failures |= failures

        return write

    def cancel(self) -> None:
        raise AssertionError("nothing lasts long")


def picture(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """Return a tar of ten pictures, a copy of one of them, and a text."""
    contents = {f"{i:02}.png": picture(10 * i) for i in range(10)}
    contents |= {"copy.png": picture(30), "text.png": b"no image"}
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return tmp_path / "images.tar"


@pytest.fixture(scope="module")
def loaded() -> Extractor:
    return load_extractor(make_recipe("mini", "", size=32), MINI, "cpu", "float32")


@pytest.fixture
def extractor(loaded: Extractor) -> OnDemand:
    return OnDemand(loaded.recipe, lambda: loaded)


def test_a_container_that_is_read_in_order_is_a_source(tar: Path, extractor: OnDemand) -> None:
    source, sink, progress = TarSource(tar), Memory(), Progress()
    run(source, source.refs(), extractor, sink, Options(LIMITS, batch_size=3), progress)
    assert set(sink.names) == {f"{i:02}.png" for i in range(10)} | {"copy.png"}
    assert sink.names["copy.png"] == sink.names["03.png"]
    assert isinstance(sink.failures["text.png"], UnreadableImage)
    assert (progress.n_new, progress.n_reused, progress.n_failed) == (10, 1, 1)
    assert all(name.startswith("write") for name in sink.thread_names)
    assert locate(source, "04.png")(10**6) == picture(40)


def test_what_the_sink_knows_is_not_described_again(tar: Path, extractor: OnDemand) -> None:
    source, first, progress = TarSource(tar), Memory(), Progress()
    run(source, source.refs(), extractor, first, Options(LIMITS), Progress())
    again = Memory(first.described)
    run(source, source.refs(), extractor, again, Options(LIMITS), progress)
    assert (again.names, progress.n_new, progress.n_reused) == (first.names, 0, 11)


def test_a_problem_and_other_bytes_than_wanted_are_failures(tar: Path, extractor: OnDemand) -> None:
    refs = [
        ImageRef("00.png", problem=UnreadableImage("its name is none")),
        ImageRef("01.png", sha256=bytes(32)),
        ImageRef("02.png"),
    ]
    sink = Memory()
    run(TarSource(tar), refs, extractor, sink, Options(LIMITS), Progress())
    assert set(sink.names) == {"02.png"}
    assert str(sink.failures["00.png"]) == "its name is none"
    assert isinstance(sink.failures["01.png"], ImageChanged)


def test_a_strict_run_ends_with_the_first_bad_image(tar: Path, extractor: OnDemand) -> None:
    with pytest.raises(UnreadableImage, match=r"^text\.png: "):
        source = TarSource(tar)
        options = Options(LIMITS, batch_size=1, strict=True)
        run(source, source.refs(), extractor, Memory(), options, Progress())


def test_what_is_larger_than_it_said_is_read_again(tar: Path, extractor: OnDemand) -> None:
    """The source does not know the sizes, and each image has a small share of the budget."""
    limits = Limits(10**6, 10**6, 2**10, threads=2, ahead=64)
    sink, progress = Memory(), Progress()
    refs = [ImageRef(f"{i:02}.png") for i in range(3)]
    run(TarSource(tar), refs, extractor, sink, Options(limits), progress)
    # Decoding one image needs more than the whole budget.
    assert {type(error) for error in sink.failures.values()} == {ImageTooLarge}
    assert all("raise SPOCDB_MEMORY" in str(error) for error in sink.failures.values())
    assert len(sink.failures) == 3


def never() -> Extractor:
    raise AssertionError("the network is not needed")


@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_few_images_need_no_network(tar: Path, loaded: Extractor, batch_size: int | None) -> None:
    few = OnDemand(loaded.recipe, never, lambda: load_stack(loaded.recipe, MINI))
    sink, progress = Memory(), Progress()
    source = TarSource(tar)
    run(source, source.refs(), few, sink, Options(LIMITS, batch_size), progress)
    assert (progress.n_new, progress.n_reused, progress.n_failed) == (10, 1, 1)
    assert len(sink.described) == FEW
    network = OnDemand(loaded.recipe, lambda: loaded)
    again = Memory()
    run(source, source.refs(), network, again, Options(LIMITS, batch_size), Progress())
    assert sink.names == again.names
    for sha256, raw in again.raw.items():
        assert 1 - sink.raw[sha256] @ raw / np.linalg.norm(raw) ** 2 < 1e-3


def test_one_image_more_loads_the_network(tar: Path, loaded: Extractor) -> None:
    extractor = OnDemand(loaded.recipe, lambda: loaded, lambda: load_stack(loaded.recipe, MINI))
    assert extractor.few(FEW) and not extractor.few(FEW + 1)
    extractor.took_few(1)
    source, sink, progress = TarSource(tar), Memory(), Progress()
    run(source, source.refs(), extractor, sink, Options(LIMITS), progress)
    assert progress.n_new == FEW and extractor.few(1) is None
