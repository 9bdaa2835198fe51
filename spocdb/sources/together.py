"""Sources of several kinds as one, which asks for each name the kind that claims it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from spocdb.records import Contents, ImageRef
from spocdb.sources import kinds
from spocdb.sources.digests import Names
from spocdb.sources.kinds import LeftOut
from spocdb.sources.lists import Listed
from spocdb.sources.source import Get, Given, Known, Ref, Terms, nothing_known
from spocdb.sources.urls import is_url, ref_of


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source: which arguments and stored names are its own, and how it is opened.

    `contains` says whether a name is of a file that holds many images.
    """

    claims: Callable[[str], bool]
    open: Callable[[Sequence[str], Terms], Given]
    contains: Callable[[str], bool] = lambda name: False


@dataclass(frozen=True, slots=True)
class Together:
    """One source of each kind, and lists of names. The last kind claims every name."""

    parts: Sequence[tuple[Kind, Given]]
    left_out: LeftOut
    lists: Sequence[Listed] = ()

    @property
    def roots(self) -> Sequence[str]:
        """Return the roots of all kinds, and the files of the lists."""
        roots = [root for _, part in self.parts for root in part.roots]
        return [*roots, *(str(listed.file) for listed in self.lists)]

    @property
    def whole(self) -> Sequence[Contents]:
        """Return the containers that were listed to their end."""
        return [contents for _, part in self.parts for contents in part.whole]

    def refs(self, known: Known = nothing_known) -> Iterator[ImageRef]:
        """List the images, kind by kind, and then those of the lists.

        Raises:
            ConfigError: At once for a root that does not exist; later for a list.
        """
        parts = [part.refs(known) for _, part in self.parts if part.roots]
        return chain(chain.from_iterable(parts), self._listed())

    def stream(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Get]]:
        """Yield these images with the functions that read them."""
        for n, some in groupby(refs, lambda ref: self._number(ref.name)):
            yield from self.parts[n][1].stream(some)

    def covers(self, name: str) -> bool:
        """Return whether a name is below a root, of whatever kind."""
        return any(part.covers(name) for _, part in self.parts)

    def exists(self, name: str) -> bool:
        """Return whether an image of this name exists."""
        return self.parts[self._number(name)][1].exists(name)

    def named(self, stored: Iterable[str]) -> Iterator[ImageRef]:
        """List images by their stored names."""
        for n, some in groupby(stored, self._number):
            yield from self.parts[n][1].named(some)

    def empty_roots(self) -> Iterator[tuple[str, bool]]:
        """Yield the roots that are gone or hold no image, and whether they exist."""
        for _, part in self.parts:
            yield from part.empty_roots()

    def without(self, roots: Collection[str]) -> "Together":
        """Return the same source without some of its roots."""
        without = [(kind, part.without(roots)) for kind, part in self.parts]
        return Together(without, self.left_out, self.lists)

    def has_any(self, passed: LeftOut) -> bool:
        """Return whether anything can be an image; count in `passed` what cannot."""
        if any(part.has_any(passed) for _, part in self.parts if part.roots):
            return True
        return any(True for listed in self.lists for _ in listed.names())

    def _listed(self) -> Iterator[ImageRef]:
        """List the images of the lists, each once, apart from those that a root covers."""
        seen = Names()

        def new(names: Iterable[str]) -> Iterator[str]:
            for name in names:
                if not self.covers(name) and seen.add(name):
                    yield name
                else:
                    self.left_out[kinds.REPEATED] += 1

        for listed in self.lists:
            found = new(listed.names())
            if listed.only_urls:
                yield from chain.from_iterable(map(self._behind, found))
            else:
                yield from self.named(found)

    def _behind(self, url: str) -> Iterator[ImageRef]:
        """List the images behind what should be a URL: one, or those of an archive."""
        kind, part = self.parts[self._number(url)]
        return part.named([url]) if is_url(url) and kind.contains(url) else iter((ref_of(url),))

    def _number(self, name: str) -> int:
        return next(n for n, (kind, _) in enumerate(self.parts) if kind.claims(name))
