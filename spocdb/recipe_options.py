"""The values of recipes, and the options that choose them.

`RecipeOptions` is the single list of options. The arguments of `make_recipe`, the options of
commands and those in a teacher's text are generated from it. It must import quickly, because
`spocdb --help` needs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, TypedDict, get_args, get_origin, get_type_hints

Fit = Literal["warp", "aspect", "pad"]
Pooling = Literal["sum", "max", "gem", "rmac", "fisher", "triangulation"]
Attention = Literal["crow", "norm"]
Interpolation = Literal["bilinear", "bicubic"]
Background = Literal["white", "black"]
# Red, green, blue, in units of 0-255.
RGB = tuple[float, float, float]

# ImageNet's statistics; most networks were trained with them.
IMAGENET_MEAN: RGB = (123.675, 116.28, 103.53)
IMAGENET_STD: RGB = (58.395, 57.12, 57.375)

_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class About:
    """The texts of an option: its help and, in words, its default.

    `form` shows the syntax of a value that is neither a number nor a fixed word. `depends_on` names
    the options that this one refers to. If one of those changes, the stored value of this one is
    dropped.
    """

    help: str
    default: str
    form: str | None = None
    depends_on: tuple[str, ...] = ()


class RecipeOptions(TypedDict, total=False):
    """The options of a recipe; if one is missing or None, the backbone's default applies."""

    size: Annotated[
        int | None, About("Input size in pixels.", "the extractor's own; of most presets 586")
    ]
    fit: Annotated[
        Fit | None,
        About(
            "warp to a square, keep the aspect with the longer side of the size, or "
            "pad to a square.",
            "warp",
        ),
    ]
    relu: Annotated[bool | None, About("Pool after or before the last activation.", "after")]
    pooling: Annotated[Pooling | None, About("How the feature map is pooled.", "sum")]
    centering: Annotated[
        bool | None,
        About(
            "The centering prior, which weighs the centre more.",
            "on",
            depends_on=("pooling", "sigma"),
        ),
    ]
    sigma: Annotated[
        float | None,
        About(
            "The prior's sigma as a part of the distance from the centre to the nearest border.",
            "1/3",
            depends_on=("pooling", "centering"),
        ),
    ]
    gem_p: Annotated[float | None, About("GeM's exponent.", "3", depends_on=("pooling",))]
    attention: Annotated[
        Attention | None,
        About(
            "Weigh the positions by the feature map itself.",
            "none",
            depends_on=("pooling",),
        ),
    ]
    scales: Annotated[
        tuple[float, ...] | None,
        About("Parts of the size at which the network sees each image; summed.", "1", "1,S,..."),
    ]
    flip: Annotated[bool | None, About("Sum with the mirror image.", "no")]
    mean: Annotated[
        RGB | None,
        About(
            "Subtracted from the pixels' red, green and blue, in units of 0-255.",
            "the network's own; ImageNet's of a file",
            "R,G,B",
        ),
    ]
    std: Annotated[
        RGB | None,
        About("What they are then divided by.", "the network's own; ImageNet's of a file", "R,G,B"),
    ]
    interpolation: Annotated[
        Interpolation | None,
        About("How images are resized.", "the network's own; bilinear of a file"),
    ]


# The options that decide the feature map; the others decide how it is pooled.
OF_THE_MAP = ("size", "fit", "relu", "mean", "std", "interpolation")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a recipe: its name, the type of its value, the allowed words, its texts."""

    name: str
    kind: Any
    choices: tuple[str, ...]
    about: About

    def parse(self, text: str) -> Any:
        """Return the value that a text stands for: `320`, `true`, `gem`, `1,0.7`.

        Raises:
            ValueError: It is malformed. Whether a word is allowed is not checked here.
        """
        return _PARSERS[self.kind](text)


def _parse_numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _parse_truth(text: str) -> bool:
    if text not in _WORDS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _WORDS[text]


_PARSERS: dict[Any, Callable[[str], Any]] = {
    bool: _parse_truth,
    int: int,
    float: float,
    str: str,
    tuple: _parse_numbers,
}


def _option(name: str, annotation: Any) -> Option:
    optional, about = get_args(annotation)
    (inner,) = (kind for kind in get_args(optional) if kind is not NoneType)
    choices = get_args(inner) if get_origin(inner) is Literal else ()
    return Option(name, str if choices else get_origin(inner) or inner, choices, about)


# By name, in the order of the class.
OPTIONS = {
    name: _option(name, annotation)
    for name, annotation in get_type_hints(RecipeOptions, include_extras=True).items()
}
