"""The kind of a file by its name or first bytes, and the text about skipped files."""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spocdb.images.declarations import Format


# Numbers of skipped files, one counter per walk: by extension, such as ".cr3", or by these.
LeftOut = Counter[str]

HIDDEN, LINKED, SUBFOLDER, SPECIAL = "hidden", "linked folder", "subfolder", "special file"
UNNAMED, OTHER = "file without an extension", "other file"
DAMAGED, DAMAGED_TABLE, REPEATED = "damaged archive", "damaged Parquet file", "repeated name"
ARCHIVE, PARQUET = "archive", "Parquet"

_OTHER_SUFFIXES = {
    "audio": ".aac .flac .m4a .mp3 .ogg .opus .wav .wma",
    PARQUET: ".parquet",
    ARCHIVE: ".tar .tar.gz .tar.zst .tgz .zip",
    "compressed file": ".7z .bz2 .gz .rar .xz .zst",
    "Photoshop": ".psb .psd",
    "SVG": ".svg .svgz",
    "icon": ".cur .icns .ico",
    "Netpbm": ".pam .pbm .pgm .pnm .ppm",
    "high dynamic range": ".exr .hdr",
}
_PACKED = frozenset((".gz", ".zst"))
# The order in the text, after the extensions.
_ORDER = (
    UNNAMED,
    SUBFOLDER,
    LINKED,
    SPECIAL,
    DAMAGED,
    DAMAGED_TABLE,
    REPEATED,
    HIDDEN,
    OTHER,
)
_PLURALS = {
    **{
        kind: f"{kind}s"
        for kind in (SUBFOLDER, LINKED, SPECIAL, OTHER, DAMAGED, DAMAGED_TABLE, REPEATED)
    },
    UNNAMED: "files without an extension",
}
_WAY_ON = {
    ARCHIVE: "name it to read it",
    PARQUET: "name it, or its own folder, to read it",
    "compressed file": "unpack first",
    UNNAMED: "`all_files=True` looks into them",
    LINKED: "`follow_links=True`",
}
# What counts as an extension, and how many are counted by themselves and told.
_EXTENSION = re.compile(r"(\.tar)?\.[a-z0-9_+-]{1,15}")
MOST_EXTENSIONS, MOST_TOLD = 100, 10
# Enough for every signature.
_HEAD_BYTES = 64


@cache
def _formats() -> "Mapping[str, Format]":
    """Return the formats of images by suffix. Their decoders are loaded when files are listed."""
    from spocdb.images.formats import FORMATS

    return {suffix: format for format in FORMATS for suffix in format.suffixes.split()}


@cache
def _kinds() -> Mapping[str, str]:
    others = {suffix: kind for kind, text in _OTHER_SUFFIXES.items() for suffix in text.split()}
    return {suffix: format.name for suffix, format in _formats().items()} | others


def is_image(name: str) -> bool:
    """Return whether a file's suffix is of an image format that spocdb can read here."""
    format = _formats().get(_suffix(name))
    return format is not None and format.is_read()


def is_image_inside(path: str) -> bool:
    """Return whether a file begins with an image's signature. Does not block on a pipe."""
    from spocdb.images.formats import is_recognised

    try:
        # Without O_NONBLOCK, opening a pipe waits for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        return is_recognised(os.read(descriptor, _HEAD_BYTES))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def is_nameless_image(path: str) -> bool:
    """Return whether a file without a known suffix begins with an image's signature."""
    # Known suffixes are excluded: a raw photograph begins as a TIFF that holds only a thumbnail.
    return kind(path) in (UNNAMED, OTHER) and is_image_inside(path)


def kind(name: str) -> str:
    """Return the kind of a file that is no image, by its name."""
    suffix = _longest_suffix(name)
    return _kinds().get(suffix, OTHER) if suffix else UNNAMED


def leave_out(left_out: LeftOut, name: str) -> None:
    """Count a file that is no image, by its extension; of many extensions, the first ones."""
    suffix = _longest_suffix(name)
    kind = suffix if _EXTENSION.fullmatch(suffix) else OTHER
    if not suffix:
        kind = UNNAMED
    elif kind not in left_out and len(left_out) >= MOST_EXTENSIONS:
        kind = OTHER
    left_out[kind] += 1


def installs(left_out: Mapping[str, int]) -> dict[str, str]:
    """Return by extension the commands that install what would read the skipped files."""
    known = _formats()
    formats = {suffix: known[suffix] for suffix in sorted(left_out) if suffix in known}
    return {suffix: found.install for suffix, found in formats.items() if found.install}


def told(left_out: Mapping[str, int]) -> str:
    """Return the numbers as text: "2 .heic (pip install 'spocdb[heif]'), 3 .txt, 4 hidden"."""
    return ", ".join((*_extensions(left_out), *_others(left_out)))


def _extensions(left_out: Mapping[str, int]) -> Iterator[str]:
    """Tell the extensions: those that could be read first, which a user misses most."""
    found = [name for name, n in left_out.items() if n and name.startswith(".")]
    found.sort(key=lambda name: (_way_on(name) is None, -left_out[name], name))
    for name in found[:MOST_TOLD]:
        yield f"{left_out[name]:,} {name}" + _in_brackets(_way_on(name))
    if rest := found[MOST_TOLD:]:
        n_files = sum(left_out[name] for name in rest)
        yield f"{n_files:,} of {len(rest)} other extension{'s' if len(rest) > 1 else ''}"


def _others(left_out: Mapping[str, int]) -> Iterator[str]:
    unknown = (kind for kind in left_out if not kind.startswith(".") and kind not in _ORDER)
    for kind in (*unknown, *_ORDER):
        if n := left_out.get(kind):
            noun = kind if n == 1 else _PLURALS.get(kind, kind)
            yield f"{n:,} {noun}" + _in_brackets(_WAY_ON.get(kind))


def _way_on(suffix: str) -> str | None:
    """Return how files of an extension can be read."""
    return installs({suffix: 1}).get(suffix) or _WAY_ON.get(_kinds().get(suffix, OTHER))


def _in_brackets(text: str | None) -> str:
    return f" ({text})" if text else ""


def _longest_suffix(name: str) -> str:
    """Return the suffix of a file, such as ".jpg" or ".tar.gz"."""
    suffix = _suffix(name)
    longer = _suffix(name[: -len(suffix)]) + suffix if suffix in _PACKED else ""
    return longer if longer in _kinds() else suffix


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
