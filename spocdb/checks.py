"""What callers may give: a value of another type, or outside its bound, raises InvalidValue.

Numbers of NumPy count like Python's. True and False are no numbers.
"""

import os
from numbers import Real
from operator import index
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from spocdb.errors import ImageNotFound, InvalidValue, ProjectionNotFound
from spocdb.text import written_out

# The largest bigint of PostgreSQL.
MOST = 2**63 - 1


def whole(field: str, value: Any, least: int, most: int = MOST, bound: str | None = None) -> int:
    """Return an integer from `least` to `most`; `bound` says in words what it must be.

    Raises:
        InvalidValue: it is no such integer.
    """
    given = _integer(value)
    if given is None or not least <= given <= most:
        raise invalid(field, value, bound or f"{least} to {most}")
    return given


def number(field: str, value: Any, least: float, most: float, bound: str | None = None) -> float:
    """Return a number from `least` to `most`; `bound` says in words what it must be.

    Raises:
        InvalidValue: it is no such number.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    # Written so that NaN fails too.
    if not (is_number and least <= value <= most):
        raise invalid(field, value, bound or f"{least:g} to {most:g}")
    return float(value)


def text(field: str, value: Any) -> str:
    """Return a text.

    Raises:
        InvalidValue: it is no text.
    """
    if not isinstance(value, str):
        raise invalid(field, value, "a text")
    return value


def texts(field: str, values: Any) -> list[str]:
    """Return texts, or one alone, as a list.

    Raises:
        InvalidValue: one is no text.
    """
    return [text(field, one) for one in several(values)]


def path(field: str, value: Any, bound: str = "a path or a URI") -> str:
    """Return a path or a URI as a text; `bound` says in words what it must be.

    Raises:
        InvalidValue: it is no path, or empty, which would stand for the current folder.
    """
    given = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not given or not isinstance(given, str) or "\0" in given:
        raise invalid(field, value, bound)
    return given


def file(field: str, value: Any) -> Path:
    """Return the path of a file or a folder of this machine.

    Raises:
        InvalidValue: it is no path, or empty, which would stand for the current folder.
    """
    return Path(path(field, value, "a path"))


def projection(value: Any, field: str = "projection") -> int:
    """Return the number of a projection.

    Raises:
        InvalidValue: it is no integer.
        ProjectionNotFound: it has more than 64 bits, and no projection has such a number.
    """
    given = _any_integer(field, value)
    if abs(given) > MOST:
        raise ProjectionNotFound(f"there is nothing by projection {given}: see `db.pca.list()`")
    return given


def image_id(value: Any, field: str = "id") -> int:
    """Return the id of an image.

    Raises:
        InvalidValue: it is no integer.
        ImageNotFound: it has more than 64 bits, and no image has such an id.
    """
    given = _any_integer(field, value)
    if abs(given) > MOST:
        raise ImageNotFound(f"there is no image {given}: see `db.images()`")
    return given


def image_ids(values: Any, field: str = "id") -> list[int]:
    """Return the ids of images, or one alone, as a list.

    Raises:
        InvalidValue: one is no integer.
        ImageNotFound: one has more than 64 bits, and no image has such an id.
    """
    return [image_id(one, field) for one in several(values)]


def several(values: Any) -> list[Any]:
    """Return values, or one alone, as a list."""
    if isinstance(values, str | bytes):
        return [values]
    try:
        each = iter(values)
    except TypeError:  # one alone
        return [values]
    return list(each)


def invalid(field: str, value: Any, bound: str) -> InvalidValue:
    """Return the error of a value of any type; the message quotes it on one line, cut."""
    is_number = isinstance(value, Real)
    return InvalidValue(field, value if is_number else written_out(shortened(value)), bound)


def _integer(value: Any) -> int | None:
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None


def _any_integer(field: str, value: Any) -> int:
    given = _integer(value)
    if given is None:
        raise invalid(field, value, "an integer")
    return given
