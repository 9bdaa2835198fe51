"""Positions in two dimensions: the first two components are right, UMAP keeps clusters apart."""

import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from spocdb.features import layouts
from spocdb.features.layouts import along, first_components, main_axes, umap_positions
from spocdb.features.projection import Moments, fit, project
from spocdb.records import Float32Array


def clusters(n_each: int, n_clusters: int = 3, dim: int = 16) -> tuple[Float32Array, list[int]]:
    """Return unit vectors around well separated centres, and the centre of each."""
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(dim)[:n_clusters], n_each, axis=0)
    rows = rows + 0.05 * rng.normal(size=rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), [n // n_each for n in range(len(rows))]


@pytest.mark.parametrize("whiten", [True, False])
def test_components_are_those_of_the_pca(whiten: bool) -> None:
    """Up to each row's length, which the embedding does not keep."""
    raw = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
    raw *= np.linspace(3, 1, 8, dtype=np.float32)
    projection = fit(Moments.of(raw), 4, whiten=whiten)
    embeddings = project(raw, projection)
    found = first_components([embeddings[:150], embeddings[150:]], projection)
    centred = raw - raw.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:2].T
    ours, theirs = (np.arctan2(np.abs(p[:, 1]), np.abs(p[:, 0])) for p in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_whitening_is_undone() -> None:
    """The first axis is the broadest, as it is without whitening."""
    raw = np.random.default_rng(1).normal(size=(500, 8)).astype(np.float32)
    raw *= np.array([8, 2, 1, 1, 1, 1, 1, 1], np.float32)
    projection = fit(Moments.of(raw), 8)
    x, y = first_components([project(raw, projection)], projection).std(axis=0)
    assert x / y == pytest.approx(4, rel=0.1)


def test_embeddings_without_a_pca_lie_along_their_own_main_axes() -> None:
    rows, _ = clusters(20)
    moments = Moments.of(rows)
    found = along([rows[:7], rows[7:]], moments.mean, main_axes(moments))
    _, _, directions = np.linalg.svd(rows - rows.mean(axis=0))
    expected = (rows - rows.mean(axis=0)) @ directions[:2].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)


@pytest.mark.parametrize("dim", [1, 2])
def test_one_dimension_lies_on_a_line(dim: int) -> None:
    raw = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    projection = fit(Moments.of(raw), dim)
    found = first_components([project(raw, projection)], projection)
    assert found.shape == (20, 2)
    assert np.ptp(found[:, 1]) == 0 or dim == 2
    moments = Moments.of(raw[:, :1])
    assert along([raw[:, :1]], moments.mean, main_axes(moments)).shape == (20, 2)


def laid_out(rows: Float32Array, seed: int | None = 0) -> Float32Array:
    # Any warning would be an error.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return umap_positions(rows, rows[:, :2], neighbours=15, min_distance=0.1, seed=seed)


@pytest.mark.slow
def test_umap_keeps_clusters_apart_and_a_seed_repeats_it() -> None:
    rows, labels = clusters(40)
    found = laid_out(rows)
    assert found.shape == (120, 2)
    centres = np.stack([found[np.array(labels) == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(found[:, None] - centres, axis=2).argmin(axis=1)
    assert nearest.tolist() == labels
    np.testing.assert_array_equal(laid_out(rows), found)


@pytest.mark.slow
@pytest.mark.parametrize("n", [layouts.FEWEST_FOR_UMAP, 16, 40])
def test_umap_of_few_images_and_of_copies(n: int) -> None:
    rows = clusters(n)[0][:n]
    assert np.isfinite(laid_out(rows)).all()
    # All but one are the same.
    rows[1:] = rows[1]
    assert np.isfinite(laid_out(rows)).all()


@pytest.mark.slow
def test_the_rounds_are_logged_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "SECONDS_BETWEEN_LINES", -1.0)
    caplog.set_level(logging.INFO)
    laid_out(clusters(5)[0])
    assert "laying out: 500 of 500 rounds" in caplog.messages


@pytest.mark.slow
def test_umap_leaves_torch_its_number_of_threads() -> None:
    """Another number gives other sums: a training would not go on as it began."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
        umap_positions(rows, rows[:, :2], neighbours=5, min_distance=0.1, seed=0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


BEFORE_TORCH = """
import numpy as np
from spocdb.features.layouts import umap_positions
rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
umap_positions(rows, rows[:, :2], neighbours=5, min_distance=0.1, seed=0)
import torch
print(torch.get_num_threads())
"""


@pytest.mark.slow
def test_umap_leaves_its_number_of_threads_to_a_torch_that_is_loaded_afterwards() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BEFORE_TORCH],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "1\n"
