"""Training from end to end: images, a database, and processes that are killed."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from spocdb.db import scratch, search
from spocdb.features.projection import project, raw_projection
from spocdb.features.recipes import make_recipe
from spocdb.features.weights import load_state_dict, sha256_of
from spocdb.training import start
from tests.fixtures.opened import Database
from tests.fixtures.program import Start
from tests.fixtures.stripes import finetuning

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[..., Path]


@pytest.fixture
def kill_after_epoch_1(start_spocdb: Start, url: str) -> Callable[..., None]:
    """Return a function that runs the program and kills it during the second epoch."""

    def run(*arguments: object) -> None:
        process = start_spocdb(*arguments, SPOCDB_DATABASE_URL=url)
        assert any(line.startswith("epoch 1") for line in process.stderr)
        time.sleep(0.2)
        process.kill()
        assert process.wait() == -signal.SIGKILL

    return run


def test_finetuning_makes_an_extractor_that_is_better_on_classes_it_never_saw(
    spocdb: Run, stripes: Path, tmp_path: Path, db: Database
) -> None:
    out = tmp_path / "tuned.safetensors"
    done = spocdb(*finetuning(stripes, out, "--plot", str(tmp_path / "curve.png")))
    assert done.returncode == 0, done.stderr
    assert "48 images of 8 classes to train on, 12 of 2 other classes held out" in done.stderr
    told = json.loads(done.stdout)
    first, *_, last = told["history"]
    assert last["mAP"] > first["mAP"]
    assert (tmp_path / "curve.png").is_file()
    assert sorted(f.name for f in tmp_path.glob("tuned*")) == ["tuned.safetensors"]

    # An ingest finds the new extractor by its name; its record says what it was made from.
    assert spocdb("ingest", stripes, "--extractor", told["extractor"]).returncode == 0
    (summary,) = [e for e in db.extractors() if e.name == told["extractor"]]
    assert summary.collections == ["photos"] and summary.n_descriptors == 60
    assert summary.recipe.weights == sha256_of(out)
    assert summary.parentage is not None
    assert summary.parentage["parent"]["backbone"] == "mini"
    assert summary.parentage["data"]["n_held_out_classes"] == 2
    with safe_open(out, "np") as file:
        assert json.loads(file.metadata()["spocdb"]) == summary.parentage


def test_the_working_collection_leaves_nothing(
    spocdb: Run, stripes: Path, tmp_path: Path, db: Database
) -> None:
    done = spocdb(*finetuning(stripes, tmp_path / "tuned.safetensors", "--epochs", "1"))
    assert done.returncode == 0, done.stderr
    assert db.collections() == []
    count = "SELECT count(*) FROM spocdb.descriptors"
    assert db.connection.execute(count).fetchone() == (0,)
    assert [e.name for e in db.extractors()] == [json.loads(done.stdout)["extractor"]]


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "mobilenet_v3_large", "swin_t"])
def test_other_networks_are_finetuned_too(
    backbone: str, spocdb: Run, stripes: Path, tmp_path: Path, db: Database
) -> None:
    weights, out = tmp_path / "random.pth", tmp_path / "tuned.safetensors"
    torch.save(start.random_state(make_recipe(backbone, ""), 0), weights)
    more = ("--extractor", backbone, "--weights", str(weights), "--hard-negatives", "0")
    few = ("--size", "32", "--epochs", "1", "--frozen", "0.5", "--learning-rate", "0.01")
    done = spocdb(*finetuning(stripes, out, *more, *few))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["settings"]["frozen"] == 0.5
    before, after = load_state_dict(weights), load_state_dict(out)
    # In the order of the layers; a file sorts its tensors by name. Half precision rounds, by up to
    # 1e-3 of a value and by 1e-7 of a tiny one.
    both = [(before[name].float(), after[name].float()) for name in before if name in after]
    kept = [torch.allclose(now, then, 1e-3, 1e-6) for then, now in both]
    assert all(kept[: len(kept) // 4]) and not all(kept)
    # Its weights are read again, by its name in the database.
    assert db.extractor(told["extractor"]).recipe.backbone == backbone


@pytest.mark.parametrize("loss", ["arcface", "soft-triple", "contrastive", "triplet"])
def test_the_other_losses_learn_too(loss: str, spocdb: Run, stripes: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned.safetensors"
    # A small rate: ArcFace leaves what it began with at a larger one, on some CPUs.
    learning = ("--learning-rate", "3e-4", "--epochs", "6", "--hard-negatives", "0")
    done = spocdb(*finetuning(stripes, out, "--loss", loss, *learning))
    assert done.returncode == 0, done.stderr
    before, *_, after = json.loads(done.stdout)["history"]
    assert after["mAP"] > before["mAP"]


def test_hard_negatives_are_the_nearest_of_other_classes(db: Database) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows.astype(np.float16).astype(np.float32)
    labels = [str(i % 7) for i in range(200)]
    whole = raw_projection(16)
    with scratch.opened(db.connection, "now", make_recipe("mini", ""), 16) as collection:
        scratch.store(db.connection, collection, rows, labels, lambda _, raw: project(raw, whole))
        hits = search.nearest(db.connection, collection.name, rows[0], 3, {}, exact=False)
        assert hits[0].method == "hnsw"
        found = scratch.hard_negatives(db.connection, collection, 3, largest_class=29)
    expected = {}
    for i, row in enumerate(rows):
        order = np.argsort(-(rows @ row), kind="stable")
        expected[i] = [int(j) for j in order if labels[j] != labels[i]][:3]
    agreeing = sum(found[i] == expected[i] for i in expected)
    # The index may miss a neighbour, and half precision may swap two that are as near.
    assert agreeing >= 198
    assert db.collections() == [] and db.extractors() == []


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(
    spocdb: Run, stripes: Path, tmp_path: Path, kill_after_epoch_1: Callable[..., None]
) -> None:
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    assert spocdb(*finetuning(stripes, whole)).returncode == 0
    kill_after_epoch_1(*finetuning(stripes, killed))
    assert not killed.exists()
    done = spocdb(*finetuning(stripes, killed))
    assert done.returncode == 0 and "going on after epoch" in done.stderr
    assert sha256_of(whole) == sha256_of(killed)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(
    stripes: Path, tmp_path: Path, start_spocdb: Start, db: Database
) -> None:
    arguments = finetuning(stripes, tmp_path / "tuned.safetensors")
    process = start_spocdb(*arguments, SPOCDB_DATABASE_URL=db.url)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("epoch 1"):
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert lines[-1] == "interrupted; run the same command to continue after the last whole epoch\n"
    assert db.collections() == []
    assert (tmp_path / "tuned.safetensors.checkpoint").exists()


def test_a_checkpoint_of_another_training_is_refused(
    spocdb: Run, stripes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tuned.safetensors"
    checkpoint = tmp_path / "tuned.safetensors.checkpoint"
    checkpoint.write_bytes(b"no checkpoint")
    done = spocdb(*finetuning(stripes, out))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"spocdb: {checkpoint} is no checkpoint of a training: delete it",
    )


@pytest.fixture
def lessons(make_photos: Make) -> list[str]:
    """Return the arguments of a short distillation; it needs more images than dimensions.

    In float32, because what bfloat16 rounds differs between CPUs, and looks like dimensions.
    """
    photos = make_photos(400, "lessons")
    return [
        *("train", "distill", str(photos), "--teacher", "mini,size=64,pooling=max"),
        *("--teacher", "mini,size=48", "--size", "48", "--views", "2", "--held-out", "0.05"),
        *("--epochs", "4", "--batch-size", "16", "--learning-rate", "2e-3", "--json"),
        *("--copies", "0.05", "--augmentation", "strong", "--precision", "float32"),
    ]


@pytest.mark.slow
def test_a_student_learns_from_its_teachers_and_goes_on_after_a_kill(
    spocdb: Run,
    lessons: list[str],
    tmp_path: Path,
    kill_after_epoch_1: Callable[..., None],
) -> None:
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    done = spocdb(*lessons, "--out", whole)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    _, first, *_, last = told["history"]
    assert last["loss"] < first["loss"] - 0.02
    assert 0 < told["teachers_mAP"] <= 1 and len(told["teachers"]) == 2
    assert told["data"]["n_train"] == 380 and told["data"]["n_held_out"] == 20
    assert told["settings"]["copies"]["weight"] == 0.05
    assert told["settings"]["augmentation"]["jpeg"] == 0.5

    kill_after_epoch_1(*lessons, "--out", killed)
    done = spocdb(*lessons, "--out", killed)
    assert done.returncode == 0 and "look at 0 images" in done.stderr
    assert sha256_of(whole) == sha256_of(killed)
    assert not list(tmp_path.glob("*.targets*")) and not list(tmp_path.glob("*.checkpoint"))

    # The next stage begins where this one ended, but for the rounding to half precision.
    stage = ("--start", whole, "--epochs", "1", "--out", tmp_path / "next.safetensors")
    done = spocdb(*lessons, *stage)
    assert done.returncode == 0, done.stderr
    begun = json.loads(done.stdout)
    assert begun["start"] == sha256_of(whole)
    assert begun["history"][0]["mAP"] == pytest.approx(last["mAP"], abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--out", "x.safetensors", "photos", "--frozen", "1"], 1, "--frozen must be 0 or more"),
        (["--out", "x.safetensors", "photos", "--patience", "0"], 1, "--patience must be 1 or"),
        (["--out", "x.safetensors", "photos", "--loss", "arc"], 1, "unknown loss 'arc'"),
        (["--out", "x.pth", "photos"], 1, "the weights go to a .safetensors file, not to x.pth"),
        (["--out", "no/x.safetensors", "photos"], 1, "there is no folder no"),
        (["--out", "x.safetensors"], 2, "one of them"),
        (["--out", "x.safetensors", "photos", "--pairs", "p.csv"], 2, "one of them"),
        (["--out", "x.safetensors", "nowhere"], 1, "no such file or folder"),
        (["--out", "x.safetensors", "photos"], 1, "the folders give 1 class of two images"),
        (["--out", "x.safetensors", "photos", "--epochs", "0"], 1, "--epochs must be positive"),
        (["--out", "x.safetensors", "--labels", "no.csv"], 1, "cannot read no.csv"),
        (["--out", "x.safetensors", "--pairs", "no.csv"], 1, "cannot read no.csv"),
        (["--out", "x.safetensors", "-c", "nothing"], 1, "there is no collection"),
        (["--out", "x.safetensors", "photos", "--plot", "x.gif"], 1, ".png"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    arguments: list[str],
    code: int,
    line: str,
    spocdb: Run,
    make_photos: Make,
    tmp_path: Path,
) -> None:
    make_photos(3)
    done: Any = spocdb("train", "finetune", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert line in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (["--copies", "-1"], "--copies must be 0 or more"),
        (["--augmentation", "wild"], "unknown augmentation 'wild': one of mild, strong"),
    ],
)
def test_a_distillation_that_cannot_be_is_one_line(
    option: list[str], line: str, spocdb: Run, make_photos: Make, tmp_path: Path
) -> None:
    arguments = (make_photos(8), "--out", tmp_path / "x.safetensors", "--teacher", "mini", *option)
    done = spocdb("train", "distill", *arguments)
    assert done.returncode == 1 and line in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("x*"))


def test_a_teacher_that_makes_no_sense_is_one_line(
    spocdb: Run, make_photos: Make, tmp_path: Path
) -> None:
    photos, out = make_photos(8), tmp_path / "x.safetensors"
    for teacher, code, line in (
        ("mini,size", 2, "'size' is not KEY=VALUE"),
        ("mini,size=big", 2, "'size=big' is not KEY=VALUE"),
        ("mini,weights=no.pth", 1, "cannot read the weights no.pth"),
        ("alexnet", 1, "unknown extractor 'alexnet'"),
        ("mini,colour=red", 2, "with one of weights, size, fit"),
        ("mini,flip=yes", 2, "'flip=yes' is not KEY=VALUE"),
        ("mini,scales=0.5,0.25,flip=true", 1, "the largest of them 1"),
        ("mini", 1, "too few for a student of 256 dimensions"),
    ):
        done = spocdb("train", "distill", photos, "--out", out, "--teacher", teacher)
        assert done.returncode == code, teacher
        assert line in done.stderr and "Traceback" not in done.stderr
