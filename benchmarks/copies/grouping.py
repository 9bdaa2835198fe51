"""What is wrong and right in groups of pictures: whether they join different photographs."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from benchmarks.copies.halves import Half


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups of a half, counted.

    `n_mixed` groups join different photographs and `largest_mixed` of them at most. `n_together` of
    `n_copies` changed copies are in a group with their original.
    """

    n_groups: int
    n_mixed: int
    largest_mixed: int
    n_together: int
    n_copies: int

    def __add__(self, other: "Grouped") -> "Grouped":
        return Grouped(
            self.n_groups + other.n_groups,
            self.n_mixed + other.n_mixed,
            max(self.largest_mixed, other.largest_mixed),
            self.n_together + other.n_together,
            self.n_copies + other.n_copies,
        )

    def as_dict(self) -> dict[str, int]:
        """Return the counts, for JSON."""
        return asdict(self)


def judged(groups: Iterable[set[int]], half: Half) -> Grouped:
    """Count groups of a half; a picture is named by its index."""
    found = [[half.files[member] for member in group] for group in groups]
    photographs = [len({shown.photograph for shown in group}) for group in found]
    mixed = [n for n in photographs if n > 1]
    together = 0
    for group in found:
        originals = {shown.photograph for shown in group if not shown.change}
        together += sum(bool(f.change) and f.photograph in originals for f in group)
    n_copies = sum(bool(shown.change) for shown in half.files)
    return Grouped(len(found), len(mixed), max(mixed, default=0), together, n_copies)
