"""Images behind URLs, as a source. An image is called by its URL.

A URL that is stored is not asked for again: servers need not say whether an answer changed, and a
million questions would take longer than an ingest. One that failed is, if failures are retried.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial

from spocdb.errors import ImageError, UnreadableImage
from spocdb.records import Contents, ImageRef
from spocdb.sources import names
from spocdb.sources.kinds import LeftOut
from spocdb.sources.source import Get, Known, Ref, Terms, nothing_known
from spocdb.text import cleaned

VERSION = "url"


def is_url(name: str) -> bool:
    """Return whether a name is a URL of http or https."""
    return name[:8].lower().startswith(("http://", "https://"))


def version_of(listed: str, found: str) -> str:
    """Return the version to store: one that was listed by its URL is not asked for again."""
    return listed if listed == VERSION else found


class UrlsSource:
    """The images behind some URLs; without URLs, behind any."""

    whole: Sequence[Contents] = ()

    def __init__(self, urls: Sequence[str], terms: Terms) -> None:
        self.roots = list(dict.fromkeys(urls))
        self._terms, self.left_out = terms, terms.left_out
        self._exact = frozenset(self.roots)

    def refs(self, known: Known = nothing_known) -> Iterator[ImageRef]:
        """List the URLs."""
        return self.named(self.roots)

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield these URLs with the functions that fetch them."""
        return ((ref, partial(self._fetch, ref.name)) for ref in refs)

    def covers(self, name: str) -> bool:
        """Return whether a name is one of the URLs."""
        return name in self._exact

    def exists(self, name: str) -> bool:
        """Return True: a server that does not answer may answer tomorrow."""
        return True

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List URLs; those that cannot be fetched or stored have a problem."""
        return map(ref_of, stored)

    def empty_roots(self) -> Iterator[tuple[str, bool]]:
        """Yield nothing: no URL counts as gone."""
        return iter(())

    def without(self, roots: Collection[str]) -> "UrlsSource":
        """Return the same source without some of its URLs."""
        return UrlsSource([root for root in self.roots if root not in roots], self._terms)

    def has_any(self, passed: LeftOut) -> bool:
        """Return whether there is a URL."""
        return bool(self.roots)

    def _fetch(self, url: str, max_bytes: int) -> bytes:
        # Imported here, because httpx would take a sixth of the start of every command.
        from spocdb.sources.fetching import fetch

        return fetch(
            *(url, max_bytes),
            allow_private=self._terms.allow_private,
            advice="set SPOCDB_ALLOW_PRIVATE=1",
        )


def ref_of(url: str) -> ImageRef:
    """Return the ref of a URL. A password in it is neither stored nor told."""
    from spocdb.sources.lines import parse

    try:
        parsed = parse(url)
        if parsed.userinfo:
            host = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
            problem: ImageError | None = UnreadableImage("a URL with a password is not stored")
            return ImageRef(names.listed(f"{host}{parsed.path}"), VERSION, problem=problem)
        why_not = names.problem(url)
        problem = UnreadableImage(why_not) if why_not else None
    except UnreadableImage as error:
        problem = error
    # Text that is no URL may hold anything, also a password before an "@".
    name = f"...@{url.rpartition('@')[2]}" if problem and "@" in url else url
    return ImageRef(cleaned(names.listed(name)) if problem else name, VERSION, problem=problem)
