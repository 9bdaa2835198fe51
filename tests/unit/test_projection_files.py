"""Projection files: a file is refused, or gives finite embeddings of length one."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from spocdb.errors import ConfigError
from spocdb.features.projection import Moments, fit, project
from spocdb.features.projection_files import MOST_BYTES, OF_HEAD, load, save
from spocdb.features.recipes import make_recipe
from spocdb.records import Float32Array, Projection, Recipe

C, N = 256, 8
RECIPE = make_recipe("mini", "ab" * 32)
FITTED_ON = {"collections": ["photos"], "n_images": 60, "images_sha256": "ab" * 32}
# Hypothesis runs many examples in one test; each overwrites the file of the one before.
FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
KINDS = (".npz", ".safetensors")


def rows(n: int, seed: int = 0) -> Float32Array:
    made = np.abs(np.random.default_rng(seed).normal(size=(n, C))).astype(np.float32)
    unit: Float32Array = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


FITTED = fit(Moments.of(rows(60)), N)
OTHERS = rows(20, seed=1)


def about(projection: Projection = FITTED, recipe: Any = RECIPE) -> dict[str, Any]:
    return {
        "recipe": asdict(recipe),
        "kind": projection.kind,
        "n_samples": projection.n_samples,
        "settings": projection.settings,
        "fitted_on": FITTED_ON,
        "fingerprint": projection.fingerprint,
    }


def arrays(projection: Projection = FITTED) -> dict[str, Any]:
    names = ("mean", "components", "scale", "singular_values", "explained")
    return {name: getattr(projection, name) for name in names}


def write(file: Path, arrays: dict[str, Any], told: Any) -> Path:
    """Write a file as `pca export` does, of any arrays."""
    text = told if isinstance(told, str) else json.dumps(told)
    if file.suffix == ".npz":
        np.savez(file, about=np.array(text), **arrays)
    else:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(contiguous, file, metadata={"about": text})
    return file


def refused(file: Path) -> str:
    """Return the message of one line with which a file is refused."""
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def embeds(file: Path) -> bool:
    """Tell whether a file can be loaded; if so, its embeddings must be finite, of length one."""
    try:
        projection, *_ = load(file)
    except ConfigError as error:
        assert "\n" not in str(error)
        return False
    embeddings = project(OTHERS, projection)
    assert embeddings.shape == (len(OTHERS), projection.dim)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-4)
    return True


def forged(**changed: Any) -> Projection:
    """Return the projection with other numbers, and their fingerprint."""
    made = replace(FITTED, **changed)
    return replace(made, settings=made.settings | {"dim": len(made.components)})


def with_value(name: str, value: float, at: Any = 0) -> dict[str, Any]:
    array = getattr(FITTED, name).copy()
    array[at] = value
    return {name: array}


WIDE = np.eye(2, 6000, dtype=np.float32)

# Numbers that no embedding can be computed with; all have the right fingerprint.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nan": (with_value("components", np.nan), "components are not all finite"),
    "infinite mean": (with_value("mean", np.inf), "mean's values are not all finite"),
    "infinite factor": (with_value("scale", np.inf), "whitening factors are not all finite"),
    "zero factor": (with_value("scale", 0), "whitening factors are not all within 1e-12 and 1e+12"),
    "negative factor": (with_value("scale", -1), "whitening factors are not all within"),
    "factor beyond float32": (with_value("scale", 1e300), "whitening factors are not all within"),
    "no direction": (with_value("components", 0), "components are not all of length one"),
    "all zero": ({"components": np.zeros((N, C), np.float32)}, "not all of length one"),
    "far mean": (with_value("mean", 1e30), "longer than any mean"),
    "negative value": (with_value("singular_values", -1), "singular values are not all zero or"),
    "nan value": (with_value("singular_values", np.nan), "singular values are not all finite"),
    "more than all": (with_value("explained", 1.5), "explained parts of the variance are not"),
    "other dimension": (
        {"components": np.eye(8, 128, dtype=np.float32), "mean": np.zeros(128, np.float32)},
        "it is for descriptors of 128 dimensions, its extractor's have 256",
    ),
    "cut rows": ({"components": FITTED.components[:5]}, "whitening factors are (8,) for (5, 256)"),
    "mean apart": ({"mean": np.zeros(7, np.float32)}, "components are (8, 256) and its mean (7,)"),
    "flat": ({"components": FITTED.components.ravel()}, "components are (2048,) and its mean"),
    "6,000 dimensions": (
        {"components": WIDE, "mean": np.zeros(6000, np.float32)},
        "it is for descriptors of 6000 dimensions",
    ),
    "more rows than dimensions": (
        {
            "components": np.tile(FITTED.components, (33, 1)),
            **{n: np.tile(getattr(FITTED, n), 33) / 33 for n in ("singular_values", "explained")},
            "scale": np.tile(FITTED.scale, 33),
        },
        "it has 264 components of 256 dimensions, and there can be 256",
    ),
}


@pytest.mark.parametrize("suffix", KINDS)
def test_the_bias_of_a_head_may_be_far_from_every_mean(suffix: str, tmp_path: Path) -> None:
    told = {name: 1 for name in OF_HEAD} | {"dim": N, "loss": "triplet", "labels": "product"}
    head = replace(FITTED, **with_value("mean", 30), kind="head", settings=told)
    assert embeds(write(tmp_path / f"head{suffix}", arrays(head), about(head)))
    far = replace(head, mean=head.mean * 100)
    file = write(tmp_path / f"far{suffix}", arrays(far), about(far))
    assert "its bias is that of a point 3001.07 from the origin, beyond 1000" in refused(file)


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("what", WRONG)
def test_numbers_that_cannot_be_used_are_named(what: str, suffix: str, tmp_path: Path) -> None:
    changed, message = WRONG[what]
    projection = forged(**changed)
    file = write(tmp_path / f"pca{suffix}", arrays(projection), about(projection))
    assert message in refused(file)


@pytest.mark.parametrize("suffix", KINDS)
def test_a_long_codebook_does_not_make_a_long_projection(suffix: str, tmp_path: Path) -> None:
    recipe = make_recipe("mini", "ab" * 32, pooling="fisher", codebook=("cd" * 32, 6000))
    projection = forged(components=np.eye(8, 6000, dtype=np.float32), mean=np.zeros(6000, "f4"))
    file = write(tmp_path / f"pca{suffix}", arrays(projection), about(projection, recipe))
    assert "8 components of 6000 dimensions, and there can be 4000 of 4000" in refused(file)


@pytest.mark.parametrize("suffix", KINDS)
def test_skew_components_are_said_and_taken(suffix: str, tmp_path: Path, said: list[str]) -> None:
    components = FITTED.components.copy()
    components[1] = (components[0] + components[1]) / np.sqrt(2)
    projection = forged(components=components)
    file = write(tmp_path / f"pca{suffix}", arrays(projection), about(projection))
    loaded, *_ = load(file)
    assert loaded.fingerprint == projection.fingerprint
    assert said == [
        f"warning: the components of {file} are not orthogonal (cosines up to 0.71): "
        "distances are not those of a PCA"
    ]


@pytest.mark.parametrize("suffix", KINDS)
def test_what_was_exported_comes_back_without_a_word(
    suffix: str, tmp_path: Path, said: list[str]
) -> None:
    save(file := tmp_path / f"pca{suffix}", FITTED, RECIPE, FITTED_ON)
    said.clear()
    loaded, recipe, fitted_on = load(file)
    assert (loaded.fingerprint, recipe, fitted_on) == (FITTED.fingerprint, RECIPE, FITTED_ON)
    assert said == []


def mutated(told: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(told))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


NO_PROJECTION = "is no projection: export one with `db.pca.export"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("recipe", "backbone"), "other", "unknown extractor 'other'"),
        (("recipe", "size"), 999_999, "size must be 32 to 4096 pixels"),
        (("recipe", "size"), "256", "no extractor such as mini-"),
        (("recipe", "size"), 256.0, "no extractor such as mini-"),
        (("recipe", "size"), "large", "makes no sense"),
        (("recipe", "relu"), 0, "no extractor such as mini-"),
        (("recipe", "layer"), "conv1", "no extractor such as mini-"),
        (("recipe", "weights"), "../../etc/passwd", "no extractor such as mini-"),
        (("recipe", "weights"), None, "makes no sense"),
        (("recipe", "scales"), 3, NO_PROJECTION),
        (("recipe", "more"), 3, NO_PROJECTION),
        (("recipe",), [], NO_PROJECTION),
        (("n_samples",), -1, "it was fitted on -1 images"),
        (("n_samples",), "60", NO_PROJECTION),
        (("n_samples",), 2**63, NO_PROJECTION),
        (("kind",), "raw", NO_PROJECTION),
        (("kind",), "discriminative", NO_PROJECTION),
        (("kind",), [], NO_PROJECTION),
        (("settings",), {}, NO_PROJECTION),
        (("settings", "dim"), 7, "the projection has 8 components, not the 7 it was exported with"),
        (("settings", "whiten"), "yes", NO_PROJECTION),
        (("settings", "regularisation"), float("nan"), NO_PROJECTION),
        (("settings", "augmented"), {"base": 1}, NO_PROJECTION),
        (("fitted_on",), "photos", NO_PROJECTION),
        (("fitted_on", "collections"), [1], NO_PROJECTION),
        (("fitted_on", "n_pairs"), "9", NO_PROJECTION),
        (("fitted_on", "collections"), ["a\0"], NO_PROJECTION),
        (("fingerprint",), "0", "was changed since it was exported"),
    ],
)
@pytest.mark.parametrize("suffix", KINDS)
def test_what_is_about_it_is_checked_too(
    suffix: str, path: tuple[str, ...], value: Any, message: str, tmp_path: Path
) -> None:
    file = write(tmp_path / f"pca{suffix}", arrays(), mutated(about(), path, value))
    assert message in refused(file)


@pytest.mark.parametrize(
    ("suffix", "dtype"), [*product(KINDS, ["f2", "f8", "i4"]), (".npz", "c8"), (".npz", ">f4")]
)
def test_numbers_of_another_type_are_refused(dtype: str, suffix: str, tmp_path: Path) -> None:
    changed = arrays() | {"components": FITTED.components.astype(dtype)}
    assert NO_PROJECTION in refused(write(tmp_path / f"pca{suffix}", changed, about()))


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("name", arrays())
def test_a_missing_or_another_array_is_refused(name: str, suffix: str, tmp_path: Path) -> None:
    file, left = tmp_path / f"pca{suffix}", arrays()
    assert NO_PROJECTION in refused(write(file, left | {"more": np.ones(2)}, about()))
    del left[name]
    assert NO_PROJECTION in refused(write(file, left, about()))


def test_a_zip_that_unpacks_to_more_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("about", *arrays()):
            archive.writestr(f"{name}.npy", bytes(MOST_BYTES // 6 + 100))
    assert file.stat().st_size < 1024**2
    assert f"unpacks to more than {MOST_BYTES} B" in refused(file)


def test_a_pickle_in_a_zip_is_not_run(tmp_path: Path) -> None:
    file, ran = tmp_path / "pca.npz", tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(ran),)

    np.savez(file, about=np.array([Hostile()], object), **arrays())
    assert NO_PROJECTION in refused(file)
    assert not ran.exists()


@pytest.mark.parametrize("suffix", KINDS)
def test_what_is_no_file_or_too_large_is_not_opened(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / f"pipe{suffix}")
    assert "named pipe" in refused(pipe)
    (folder := tmp_path / f"folder{suffix}").mkdir()
    assert "Is a directory" in refused(folder)
    with open(large := tmp_path / f"large{suffix}", "wb") as stream:
        stream.truncate(2**40)
    assert f"more than {MOST_BYTES} bytes" in refused(large)


def test_a_header_of_another_size_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pca.safetensors"
    for length in (2**63, 10**8, 50):
        file.write_bytes(length.to_bytes(8, "little") + b'{"mean":{}}' + bytes(100))
        assert NO_PROJECTION in refused(file)


@pytest.fixture(params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return the bytes of an exported file."""
    save(file := tmp_path / f"pca{request.param}", FITTED, RECIPE, FITTED_ON)
    yield file


@given(st.data())
@FILES
def test_bytes_that_were_lost_or_changed_give_no_projection_that_does_not_embed(
    exported: Path, data: st.DataObject
) -> None:
    whole = exported.read_bytes()
    # The beginning and the end, which the parsers read first.
    place = st.integers(0, 2000) | st.integers(len(whole) - 2000, len(whole) - 1)
    broken = bytearray(whole)
    for at in data.draw(st.lists(place, max_size=3)):
        broken[at] = data.draw(st.integers(0, 255))
    file = exported.with_stem("broken")
    file.write_bytes(broken[: data.draw(st.just(len(whole)) | place)])
    embeds(file)


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -1.0, 1e-38, 3e38, np.nan, np.inf, -np.inf])


@given(st.data())
@FILES
def test_any_other_numbers_embed_or_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*arrays()]))
    changed = getattr(FITTED, name).copy()
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.integers(0, len(changed) - 1))
        number, factor = data.draw(NUMBERS), data.draw(st.sampled_from([1, changed[row]]))
        with np.errstate(all="ignore"):
            changed[row] = number * factor
    projection = forged(**{name: changed})
    embeds(write(tmp_path / "pca.npz", arrays(projection), about(projection)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
PATHS: list[tuple[str, ...]] = [
    *((name,) for name in about()),
    *((name, key) for name in ("recipe", "settings", "fitted_on") for key in about()[name]),
]


@given(st.sampled_from(PATHS), JSON)
@FILES
def test_anything_else_about_it_is_refused_in_one_line(
    tmp_path: Path, path: tuple[str, ...], value: Any
) -> None:
    file = write(tmp_path / "pca.npz", arrays(), mutated(about(), path, value))
    if embeds(file):
        assert isinstance(load(file)[1], Recipe)


def test_text_that_nests_without_end_is_refused(tmp_path: Path) -> None:
    assert NO_PROJECTION in refused(write(tmp_path / "pca.npz", arrays(), "[" * 100_000))


def test_reading_needs_no_more_memory_than_the_header_says(tmp_path: Path) -> None:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)}
    )
    with zipfile.ZipFile(file := tmp_path / "pca.npz", "w") as archive:
        for name in ("about", *arrays()):
            archive.writestr(f"{name}.npy", header.getvalue())
    assert NO_PROJECTION in refused(file)
