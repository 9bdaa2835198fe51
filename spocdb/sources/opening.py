"""Open sources: those that arguments name, and those that hold images of stored names.

To add a kind of source, write a file beside this one with a source like `Given`, and enter it in
`KINDS`.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product

from spocdb import checks
from spocdb.errors import ConfigError
from spocdb.records import EVERYTHING, Choice
from spocdb.settings import Settings
from spocdb.sources import archives, kinds, names, parquet
from spocdb.sources.archives import ArchivesSource
from spocdb.sources.buckets import is_object
from spocdb.sources.containers import is_far
from spocdb.sources.files import FilesSource
from spocdb.sources.lists import Listed
from spocdb.sources.objects import ObjectsSource
from spocdb.sources.parquet import ParquetSource
from spocdb.sources.source import Terms
from spocdb.sources.together import Kind, Together
from spocdb.sources.urls import UrlsSource, is_url

ARCHIVES = Kind(
    lambda name: archives.archive_of(name) is not None,
    ArchivesSource,
    lambda name: archives.archive_of(name) == name,
)
PARQUET = Kind(parquet.is_parquet, ParquetSource, lambda name: parquet.file_of(name) == name)
OBJECTS = Kind(is_object, ObjectsSource)
# Of all other schemes, too: what is no URL of http or https becomes a failure, without a password.
URLS = Kind(names.is_uri, UrlsSource)
# The first that claims a name has it.
KINDS = (
    PARQUET,
    ARCHIVES,
    OBJECTS,
    URLS,
    Kind(lambda name: True, FilesSource),
)

# A range of numbers, such as {0000..0127}.
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_EXPANDED = 100_000
# Bytes of archives in buckets are kept beside the images in flight: an eighth of their memory.
# At most: 512 images of a megabyte, which a listing is ahead of reading.
PART_FOR_WINDOW, MOST_FOR_WINDOW = 8, 2**29


def terms_of(settings: Settings, choice: Choice = EVERYTHING) -> Terms:
    """Return the terms by a process's settings."""
    window = min(settings.memory // PART_FOR_WINDOW, MOST_FOR_WINDOW)
    return Terms(choice, settings.max_bytes, settings.allow_private, window=window)


def opened(
    arguments: Iterable[str | os.PathLike[str]],
    terms: Terms | None = None,
    lists: Sequence[Listed] = (),
) -> Together:
    """Return the source that arguments and lists name; without any, each image by its stored name.

    Raises:
        InvalidValue: An argument is no path, or empty.
        ConfigError: A range has too many numbers; an argument is a URL of another scheme; no object
            matches a URI with `*`.
    """
    roots: dict[Kind, list[str]] = defaultdict(list)
    terms = terms or Terms()
    for argument in arguments:
        for name in expanded(checks.path("paths", argument)):
            for root in terms.buckets.matching(name, MOST_EXPANDED) if _has_star(name) else [name]:
                roots[_kind_of(root, terms)].append(root)
    return Together(
        [(kind, kind.open(roots[kind], terms)) for kind in KINDS], terms.left_out, lists
    )


def expanded(argument: str) -> Iterator[str]:
    """Yield the arguments that ranges stand for: `{08..10}` for 08, 09 and 10.

    Shells expand them too, but not in quotes. A path that exists stands for itself.

    Raises:
        ConfigError: There would be too many.
    """
    ranges = _RANGE.findall(argument)
    if not ranges or os.path.lexists(argument):
        yield argument
        return
    n = 1
    for first, last in ranges:
        n *= abs(int(last) - int(first)) + 1
    if n > MOST_EXPANDED:
        raise ConfigError(f"{argument} stands for {n:,} names, of at most {MOST_EXPANDED:,}")
    pieces = _RANGE.split(argument)[::3]
    for numbers in product(*(_numbers(first, last) for first, last in ranges)):
        yield "".join(map("".join, zip(pieces, (*numbers, ""), strict=True)))


def reads_far(source: Together) -> bool:
    """Return whether a listing reads archives of a bucket, or behind URLs.

    Raises:
        ConfigError: A list cannot be read.
    """
    listed = (name for one in source.lists for name in one.names())
    given = chain(source.roots, listed)
    return any(is_far(name) and archives.archive_of(name) == name for name in given)


def _kind_of(argument: str, terms: Terms) -> Kind:
    name = argument if names.is_uri(argument) else os.path.abspath(argument)
    kind = next(kind for kind in KINDS if kind.claims(name))
    if is_url(name) and not kind.contains(name):
        # A member of an archive is one image, too.
        return URLS
    if kind is OBJECTS and not kinds.is_image(name) and parquet.is_prefix(name, terms.buckets):
        return PARQUET
    if kind is not URLS or is_url(argument):
        return kind
    if os.path.lexists(argument):
        return KINDS[-1]
    advice = "give the path without file://"
    if not argument.lower().startswith("file:"):
        advice = "images are read from http, https, s3, gs and az: download it first"
    raise ConfigError(f"{argument.partition('?')[0]} is a URL: {advice}", field="paths")


def _numbers(first: str, last: str) -> list[str]:
    step = 1 if int(first) <= int(last) else -1
    # As in shells, a leading zero asks for equal widths.
    is_padded = any(len(text) > 1 and text[0] == "0" for text in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    return [f"{n:0{width}}" for n in range(int(first), int(last) + step, step)]


def _has_star(name: str) -> bool:
    """Return whether a name stands for objects: shells expand `*` in paths, not in URIs."""
    return is_object(name) and "*" in name.rpartition("/")[2]
