"""A list of URLs, as a source."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from spocdb.records import ImageRef
from spocdb.sources.fetching import fetch
from spocdb.sources.source import Get, Got, Reader, Ref


@dataclass(frozen=True, slots=True)
class UrlsSource:
    """The images of a list of URLs; unless `allow_private`, at public addresses only.

    A URL has no version: its content may change at any time.
    """

    urls: Collection[str]
    allow_private: bool = False

    def refs(self) -> Iterator[ImageRef]:
        """List the URLs."""
        return map(ImageRef, self.urls)

    def stream(self, refs: Iterable[Ref], reader: Reader[Ref, Got]) -> Iterator[Got]:
        """Pass the images of these URLs to the reader."""
        return reader.read((ref, self.get(ref.name)) for ref in refs)

    def covers(self, name: str) -> bool:
        """Return whether a name is a URL."""
        return name.startswith(("http://", "https://"))

    def exists(self, name: str) -> bool:
        """Return whether a URL is listed. The server is not asked, as it may fail temporarily."""
        return name in self.urls

    def get(self, url: str) -> Get:
        """Return a function that fetches a URL."""
        return lambda max_bytes: fetch(url, max_bytes, allow_private=self.allow_private)
