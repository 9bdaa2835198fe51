"""The kind of a file by its name or first bytes, and the text about skipped files."""

import os
import stat
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec

from spocdb.images.formats import is_recognised

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
)
HEIF = frozenset((".heic", ".heif", ".hif"))

# Numbers of skipped files by kind, one counter per walk.
LeftOut = Counter[str]

HIDDEN, LINKED, SUBFOLDER, SPECIAL = "hidden", "linked folder", "subfolder", "special file"
UNNAMED, OTHER = "file without an extension", "other file"
DAMAGED, REPEATED = "damaged archive", "repeated name"
# Archives are read from files only.
FAR_ARCHIVE = "archive in a bucket"

_SUFFIXES_BY_KIND = {
    "HEIC": " ".join(HEIF),
    "raw": ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf "
    ".pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    "video": ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv",
    "audio": ".aac .flac .m4a .mp3 .ogg .opus .wav .wma",
    "archive": ".tar .tar.gz .tar.zst .tgz .zip",
    "compressed file": ".7z .bz2 .gz .rar .xz .zst",
    "JPEG 2000": ".j2c .j2k .jp2 .jpf .jpx",
    "JPEG XL": ".jxl",
    "Photoshop": ".psb .psd",
    "PDF": ".pdf",
    "SVG": ".svg .svgz",
    "icon": ".cur .icns .ico",
    "Netpbm": ".pam .pbm .pgm .pnm .ppm",
    "high dynamic range": ".exr .hdr",
}
_PACKED = frozenset((".gz", ".zst"))
_KINDS = {suffix: kind for kind, text in _SUFFIXES_BY_KIND.items() for suffix in text.split()}
# The order in the text: pictures first, which a user misses most.
_ORDER = (
    *(*_SUFFIXES_BY_KIND, FAR_ARCHIVE, UNNAMED, SUBFOLDER, LINKED, SPECIAL, DAMAGED),
    *(REPEATED, HIDDEN, OTHER),
)
_PLURALS = {
    **{kind: f"{kind}s" for kind in (SUBFOLDER, LINKED, SPECIAL, OTHER, DAMAGED, REPEATED)},
    **{kind: f"{kind}s" for kind in ("archive", "compressed file", "icon")},
    UNNAMED: "files without an extension",
    FAR_ARCHIVE: "archives in a bucket",
}
_WAY_ON = {
    "HEIC": "pip install 'spocdb[heif]'",
    "archive": "name it to read it",
    FAR_ARCHIVE: "copy it to a disk first",
    "compressed file": "unpack first",
    UNNAMED: "`all_files=True` looks into them",
    LINKED: "`follow_links=True`",
}
# Enough for every signature.
_HEAD_BYTES = 64


def is_image(name: str) -> bool:
    """Return whether a file's suffix is of an image format that spocdb can read here."""
    suffix = _suffix(name)
    return suffix in SUFFIXES or (suffix in HEIF and _reads_heif())


def is_image_inside(path: str) -> bool:
    """Return whether a file begins with an image's signature. Does not block on a pipe."""
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
    suffix = _suffix(name)
    if suffix in _PACKED and (longer := _suffix(name[: -len(suffix)]) + suffix) in _KINDS:
        suffix = longer
    return _KINDS.get(suffix, OTHER) if suffix else UNNAMED


def told(left_out: Mapping[str, int]) -> str:
    """Return the numbers as text, such as "2 HEIC (pip install 'spocdb[heif]'), 4 hidden"."""
    return ", ".join(_told(kind, left_out[kind]) for kind in _ORDER if left_out.get(kind))


def _told(kind: str, n: int) -> str:
    noun = kind if n == 1 else _PLURALS.get(kind, kind)
    return f"{n:,} {noun}" + (f" ({_WAY_ON[kind]})" if kind in _WAY_ON else "")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


@cache
def _reads_heif() -> bool:
    return find_spec("pillow_heif") is not None
