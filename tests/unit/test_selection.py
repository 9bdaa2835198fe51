"""The recipe that a request means. Nothing is downloaded: the proxy below is a closed port."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spocdb.errors import ConfigError, WeightsNotFound
from spocdb.features.recipes import make_recipe
from spocdb.features.selection import Wanted, choose
from spocdb.features.weights import sha256_of
from spocdb.records import Recipe

NOWHERE = Path("/nowhere")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "net.pth"
    file.write_bytes(b"weights")
    return file


def recipe(backbone: str = "vgg19", weights: str = "a" * 64, **options: Any) -> Recipe:
    return make_recipe(backbone, weights, **options)


def test_vgg19_is_the_default(weights: Path, tmp_path: Path) -> None:
    chosen = choose(Wanted(weights=weights), None, [], tmp_path)
    assert chosen == recipe("vgg19", sha256_of(weights))


def test_options_on_top_of_a_preset_make_another_extractor(weights: Path, tmp_path: Path) -> None:
    plain = choose(Wanted("squeezenet1_1", weights), None, [], tmp_path)
    other = choose(Wanted("squeezenet1_1", weights, {"size": 320}), None, [], tmp_path)
    assert other == recipe("squeezenet1_1", sha256_of(weights), size=320)
    assert plain.name != other.name


def test_an_unknown_extractor_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown extractor 'vgg9': one of vgg19, .*resnet101"):
        choose(Wanted("vgg9"), None, [], tmp_path)


@pytest.mark.parametrize(
    "options", [{"size": 3}, {"fit": "stretch"}, {"pooling": "max", "sigma": 0.3}, {"gem_p": 2}]
)
def test_a_wrong_option_is_told_before_any_download(
    options: dict[str, Any], tmp_path: Path, closed_network: None
) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(Wanted("vgg19", None, options), None, [], tmp_path)
    assert not isinstance(caught.value, WeightsNotFound)


def test_without_weights_and_network_the_next_step_is_told(
    tmp_path: Path, closed_network: None
) -> None:
    with pytest.raises(WeightsNotFound, match=r"cannot download .*vgg16.*`weights=FILE`$"):
        choose(Wanted("vgg16"), None, [], tmp_path)


@pytest.fixture
def closed_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


def test_a_collection_keeps_its_extractor_without_being_asked() -> None:
    stored = recipe(size=320)
    assert choose(Wanted(), stored, [], NOWHERE) == stored


@pytest.mark.parametrize("name", ["vgg19", recipe(size=320).name])
def test_a_collection_s_extractor_may_be_named(name: str) -> None:
    stored = recipe(size=320)
    assert choose(Wanted(name, options={"size": 320, "fit": None}), stored, [], NOWHERE) == stored


@pytest.mark.parametrize(
    ("wanted", "difference"),
    [
        (Wanted("vgg16"), "asked for vgg16"),
        (Wanted(options={"size": 64}), "size 320, asked for 64"),
        (Wanted(options={"pooling": "max"}), r"pooling sum, asked for max, sigma 0\.3\d*, .*None"),
        (Wanted(options={"centering": False}), r"sigma 0\.3\d*, asked for None"),
    ],
)
def test_a_collection_refuses_another_extractor(wanted: Wanted, difference: str) -> None:
    stored = recipe(size=320)
    message = rf"has {stored.name} .*\({difference}\): use another `collection=\.\.\.`, or"
    with pytest.raises(ConfigError, match=message):
        choose(wanted, stored, [], NOWHERE)


def test_a_collection_refuses_other_weights_and_takes_its_own(
    weights: Path, tmp_path: Path
) -> None:
    stored = recipe(weights=sha256_of(weights))
    assert choose(Wanted(weights=weights), stored, [], tmp_path) == stored
    with pytest.raises(
        ConfigError, match=f"weights {'a' * 12}, asked for {sha256_of(weights)[:8]}"
    ):
        choose(Wanted(weights=weights), recipe(), [], tmp_path)


def test_a_known_extractor_is_taken_by_its_name_with_its_weights() -> None:
    known = [recipe(), recipe(size=320)]
    assert choose(Wanted(known[1].name), None, known, NOWHERE) == known[1]


def test_options_on_top_of_a_known_extractor_keep_the_others() -> None:
    known = recipe(size=320, fit="pad", pooling="gem", gem_p=4.0)
    chosen = choose(Wanted(known.name, options={"size": 64}), None, [known], NOWHERE)
    assert chosen == recipe(size=64, fit="pad", pooling="gem", gem_p=4.0)


@pytest.mark.parametrize(
    ("known", "options", "expected"),
    [
        ({"pooling": "gem", "gem_p": 4.0}, {"pooling": "max"}, {"pooling": "max"}),
        ({"sigma": 0.5}, {"centering": False}, {"centering": False}),
        ({"sigma": 0.5}, {"pooling": "gem"}, {"pooling": "gem"}),
        ({"centering": False}, {"sigma": 0.5}, {"sigma": 0.5}),
        ({"centering": False}, {"centering": True}, {}),
        ({"attention": "crow", "flip": True}, {"pooling": "max"}, {"pooling": "max", "flip": True}),
    ],
)
def test_what_makes_no_sense_beside_a_new_option_is_dropped(
    known: dict[str, Any], options: dict[str, Any], expected: dict[str, Any]
) -> None:
    base = recipe(**known)
    chosen = choose(Wanted(base.name, options=options), None, [base], NOWHERE)
    assert chosen == recipe(**expected)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(32, 4096),
        "fit": st.sampled_from(["warp", "aspect", "pad"]),
        "relu": st.booleans(),
        "pooling": st.sampled_from(["sum", "max", "gem"]),
        "centering": st.booleans(),
        "sigma": st.floats(0.01, 10),
        "gem_p": st.floats(0.5, 10),
        "flip": st.booleans(),
        "attention": st.sampled_from(["crow", "norm"]),
        "scales": st.sampled_from([(1.0,), (1.0, 0.5), (0.7, 1)]),
    },
)


@settings(deadline=None)
@given(OPTIONS)
def test_the_command_that_made_a_collection_is_always_accepted_again(
    options: dict[str, Any],
) -> None:
    try:
        stored = recipe(**options)
    except ConfigError:
        return
    assert choose(Wanted("vgg19", options=options), stored, [], NOWHERE) == stored
