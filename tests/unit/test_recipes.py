import json
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

import pytest

from spocdb.errors import ConfigError
from spocdb.features.backbones import names
from spocdb.features.recipes import channels, make_recipe, options_of
from spocdb.recipe_options import OPTIONS
from spocdb.records import Recipe


def test_the_default_is_the_papers() -> None:
    assert make_recipe("vgg19", "ab12") == Recipe(
        backbone="vgg19",
        weights="ab12",
        layer="conv5_4",
        relu=True,
        size=586,
        fit="warp",
        ceil_mode=True,
        pooling="sum",
        sigma=1 / 3,
        gem_p=None,
        interpolation="bilinear",
        background="white",
    )


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("vgg16", 512), ("squeezenet1_1", 512), ("resnet50", 2048), ("resnet101", 2048)],
)
def test_channels_are_the_presets(preset: str, expected: int) -> None:
    assert channels(make_recipe(preset, "ab12")) == expected


def test_options_go_on_top() -> None:
    recipe = make_recipe(
        "resnet50", "ab12", size=224, fit="pad", relu=False, pooling="gem", sigma=0.5, gem_p=4
    )
    assert (recipe.size, recipe.fit, recipe.relu) == (224, "pad", False)
    assert (recipe.pooling, recipe.sigma, recipe.gem_p) == ("gem", 0.5, 4.0)


def test_the_same_meaning_has_the_same_fingerprint() -> None:
    spelled_out = make_recipe(
        "vgg19", "ab12", size=586, fit="warp", relu=True, pooling="sum", centering=True, sigma=1 / 3
    )
    assert spelled_out.fingerprint == make_recipe("vgg19", "ab12").fingerprint
    whole, fraction = (make_recipe("vgg19", "ab12", sigma=sigma) for sigma in (1, 1.0))
    assert whole.fingerprint == fraction.fingerprint


def test_max_pooling_has_no_prior() -> None:
    recipe = make_recipe("vgg19", "ab12", pooling="max")
    assert (recipe.sigma, recipe.gem_p) == (None, None)
    assert make_recipe("vgg19", "ab12", pooling="max", centering=False) == recipe


def test_gem_has_an_exponent_and_the_prior() -> None:
    recipe = make_recipe("vgg19", "ab12", pooling="gem")
    assert (recipe.sigma, recipe.gem_p) == (1 / 3, 3.0)


def test_the_prior_can_be_left_out() -> None:
    assert make_recipe("vgg19", "ab12", centering=False).sigma is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 31}, "size must be 32 to 4096 pixels, not 31"),
        ({"size": 4097}, "size must be"),
        ({"sigma": 0.0}, "sigma must be a positive number, not 0.0"),
        ({"sigma": float("nan")}, "sigma must be"),
        ({"pooling": "gem", "gem_p": -1.0}, "gem_p must be"),
        ({"pooling": "gem", "gem_p": float("inf")}, "gem_p must be"),
        ({"gem_p": 3.0}, "gem_p is the exponent of gem pooling"),
        ({"centering": False, "sigma": 0.5}, "sigma belongs to the centering prior"),
        ({"pooling": "max", "centering": True}, "max pooling takes no centering prior"),
        ({"pooling": "max", "sigma": 0.5}, "max pooling takes no centering prior"),
        ({"pooling": "mean"}, "unknown pooling 'mean': one of sum, max, gem"),
        ({"fit": "crop"}, "unknown fit 'crop': one of warp, aspect, pad"),
        ({"mean": (0.5, 0.5)}, r"mean must be three numbers from 0 to 255, .*, not 0\.5, 0\.5"),
        ({"mean": (0, 0, 256)}, "mean must be three numbers"),
        ({"std": (0.229, 0.224, 0.225)}, "std must be three numbers from 1 to 255, .*units of 0-2"),
        ({"std": (float("nan"),) * 3}, "std must be three numbers"),
        ({"interpolation": "nearest"}, "unknown interpolation 'nearest': one of bilinear, bicubic"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_recipe("vgg19", "ab12", **options)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="alexnet.*" + ", ".join(names())):
        make_recipe("alexnet", "ab12")


@pytest.mark.parametrize("module", ["recipes", "weights", "projection"])
def test_torch_is_not_imported(module: str) -> None:
    program = f"import sys, spocdb.features.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_what_was_added_later_leaves_older_fingerprints_alone() -> None:
    """Stored collections must find their extractor again, so fingerprints must not change."""
    recipe = make_recipe("vgg19", "ab12")
    assert recipe.name == "vgg19-3317ab39"
    for options in ({"flip": True}, {"scales": (1.0, 0.5)}, {"attention": "crow"}):
        assert make_recipe("vgg19", "ab12", **options).fingerprint != recipe.fingerprint


def test_a_recipe_comes_back_from_json_as_it_was() -> None:
    recipe = make_recipe("vgg19", "ab12", scales=(0.5, 1), flip=True)
    assert Recipe(**json.loads(json.dumps(asdict(recipe)))) == recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": (0.5,)}, "the largest of them 1, not 0.5"),
        ({"scales": ()}, "scales must be 1 to 8"),
        ({"scales": (1.0, float("nan"))}, "scale"),
        ({"scales": (1, 0.01)}, "leaves less than 32 pixels of 586"),
        ({"attention": "crow", "pooling": "max"}, "attention needs sum pooling"),
        ({"attention": "self"}, "unknown attention 'self': one of crow, norm"),
        ({"pooling": "rmac", "sigma": 1.0}, "rmac pooling takes no centering prior"),
        ({"pooling": "fisher"}, "fisher pooling needs a codebook: give one with `codebook="),
        ({"codebook": ("ab12", 1040)}, "a codebook is for pooling by fisher or triangulation"),
    ],
)
def test_new_options_that_make_no_sense_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_recipe("vgg19", "ab12", **options)


def test_a_codebook_decides_the_dimension() -> None:
    recipe = make_recipe("vgg19", "ab12", pooling="fisher", codebook=("cd34", 1040))
    assert channels(recipe) == 1040


def stored_by_0_1_0() -> dict[str, Any]:
    """Return a recipe as version 0.1.0 stored it, without normalisation."""
    return {
        "backbone": "vgg19",
        "weights": "ab12",
        "layer": "conv5_4",
        "relu": True,
        "size": 586,
        "fit": "warp",
        "ceil_mode": True,
        "pooling": "sum",
        "sigma": 1 / 3,
        "gem_p": None,
        "interpolation": "bilinear",
        "background": "white",
        "scales": [1.0],
        "flip": False,
        "attention": None,
        "codebook": None,
        "codebook_dim": None,
    }


def test_a_recipe_that_0_1_0_stored_is_todays_with_the_same_fingerprint() -> None:
    stored = Recipe(**stored_by_0_1_0())
    assert stored == make_recipe("vgg19", "ab12")
    assert stored.name == "vgg19-3317ab39"
    assert (stored.mean, stored.std) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def test_what_decides_pixels_or_tokens_decides_the_fingerprint() -> None:
    recipe = make_recipe("vgg19", "ab12")
    changes: list[dict[str, Any]] = [
        {"interpolation": "bicubic"},
        {"background": "black"},
        {"mean": (127.5,) * 3},
        {"std": (1.0, 1.0, 1.0)},
        {"channels": 512},
        {"sizes": (32, 64, 16)},
        {"leading_tokens": 0},
        {"leading_tokens": 1},
    ]
    others = {replace(recipe, **change).fingerprint for change in changes}
    assert len(others) == len(changes) and recipe.fingerprint not in others


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 320, "fit": "pad", "relu": False, "flip": True, "scales": (1.0, 0.5)},
        {"pooling": "gem", "gem_p": 2.0, "sigma": 0.7},
        {"pooling": "max"},
        {"centering": False, "attention": "crow"},
        {"mean": (127.5,) * 3, "std": (255.0, 255.0, 254.5), "interpolation": "bicubic"},
    ],
)
def test_a_recipe_says_which_options_make_it(options: dict[str, Any]) -> None:
    recipe = make_recipe("mini", "ab12", **options)
    assert options_of(recipe).keys() == OPTIONS.keys()
    assert make_recipe("mini", "ab12", **options_of(recipe)) == recipe


def test_an_option_that_does_not_exist_is_a_type_error() -> None:
    options: dict[str, Any] = {"colour": "red"}
    with pytest.raises(TypeError, match="no option colour: one of size, fit, relu"):
        make_recipe("mini", "ab12", **options)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "320", 320),
        ("fit", "pad", "pad"),
        ("flip", "true", True),
        ("centering", "false", False),
        ("sigma", "0.5", 0.5),
        ("scales", "1,0.7", (1.0, 0.7)),
    ],
)
def test_an_option_is_read_from_a_text(name: str, text: str, value: object) -> None:
    assert OPTIONS[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text"), [("size", "big"), ("flip", "yes"), ("sigma", ""), ("scales", "1;2")]
)
def test_a_text_that_is_no_value_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError):
        OPTIONS[name].parse(text)
