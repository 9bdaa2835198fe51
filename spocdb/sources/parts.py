"""Fetch a part of a file behind a URL, and tell which servers send only whole ones."""

import hashlib
import re
from dataclasses import dataclass
from functools import partial

import httpcore

from spocdb.errors import ImageVanished, UnreadableImage
from spocdb.sources.fetching import FETCH_SECONDS, check_encoding, check_kind, status_of
from spocdb.sources.hosts import slot
from spocdb.sources.kept_lines import KeptLines
from spocdb.sources.lines import Headers, parse

RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
# Statuses of a file that is gone, and of one that has no such bytes.
NOT_THERE, NO_SUCH_BYTES = (404, 410), 416
# Characters of an ETag. A longer one is hashed: it is stored with each image of a file.
LONGEST_TAG = 100


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file; the version is of the whole file, and has its size at its end."""

    data: bytes
    version: str
    size: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that its server sends only as a whole; a size that it does not tell is 0."""

    version: str
    size: int


def fetch_part(
    lines: KeptLines, url: str, start: int, end: int, seconds: float = FETCH_SECONDS
) -> Part | Whole:
    """Fetch the bytes of a file from `start` up to `end`, under the conditions of `fetch`.

    From a server that sends only whole files it returns what is told of this one, and reads no
    body.

    Raises:
        UnreadableImage: The URL can never be fetched, or its server does not tell versions.
        AddressRefused: An address is not public.
        ImageVanished: Any other failure; its cause is FileNotFoundError if there is no such file.
    """
    target = parse(url)
    asked = (b"Range", b"bytes=%d-%d" % (start, end - 1))
    with slot(target.host):
        return lines.ask(target, (asked,), seconds, partial(_taken, start, end))


def whole(headers: Headers) -> Whole:
    """Return what an answer tells of a whole file.

    Raises:
        UnreadableImage: It does not tell whether the file changed.
        ImageVanished: It is an error page, or is not the file's bytes.
    """
    check_kind(headers, "archive")
    size, tag = int(headers.get("content-length", 0)), _tag(headers)
    if not size and not tag:
        raise UnreadableImage(
            "its server tells neither its size, its date nor an ETag: download it first"
        )
    return Whole(f'"{tag}" {size}', size)


def check_there(response: httpcore.Response, status: int) -> None:
    """Raise ImageVanished, see `fetch_part`, unless an answer has this status."""
    if response.status != status:
        is_missing = response.status in (*NOT_THERE, NO_SUCH_BYTES)
        raise ImageVanished(status_of(response)) from (FileNotFoundError() if is_missing else None)


def _taken(start: int, end: int, response: httpcore.Response, headers: Headers) -> Part | Whole:
    if response.status == 200:
        return whole(headers)
    return _part(start, end, response, headers)


def _part(start: int, end: int, response: httpcore.Response, headers: Headers) -> Part:
    """Return the part of a file that an answer is."""
    if response.status == NO_SUCH_BYTES and start == 0:
        # There, and perhaps being written again.
        raise ImageVanished("cannot fetch: the file is empty")
    check_there(response, 206)
    check_encoding(headers)
    said = RANGE.fullmatch(headers.get("content-range", ""))
    if said is None or int(said[1]) != start:
        raise ImageVanished("cannot fetch: the server does not say which part it sends")
    size = int(said[3])
    wanted = min(end, size) - start
    data = bytearray()
    for block in response.iter_stream():
        data += block
        if len(data) > wanted:
            break
    if len(data) != wanted:
        raise ImageVanished(f"cannot fetch: {len(data):,} of {wanted:,} bytes")
    return Part(bytes(data), f'"{_tag(headers)}" {size}', size)


def _tag(headers: Headers) -> str:
    tag = (headers.get("etag") or headers.get("last-modified") or "").strip('"')
    return hashlib.sha256(tag.encode()).hexdigest() if len(tag) > LONGEST_TAG else tag
