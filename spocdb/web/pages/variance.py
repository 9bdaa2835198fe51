"""The variance that a PCA explains, as the numbers of a small drawing and as words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

WIDTH, HEIGHT = 360, 150
# Of the area between the axes, in the drawing's units.
LEFT, RIGHT, TOP, BOTTOM = 42, 350, 10, 122
# Labels of the axis nearer to each other would overlap.
LEAST_BETWEEN = 26


@dataclass(frozen=True, slots=True)
class Plot:
    """What the first components explain together, over their number on a logarithmic axis.

    `line` and `area` are paths of SVG; `across` and `up` are places on the axes and their labels;
    `end` is the line's last point. `caption` tells the main figures, `description` more of them.
    """

    line: str
    area: str
    end: tuple[float, float]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    caption: str
    description: str


def plot(explained: Sequence[float]) -> Plot | None:
    """Return the drawing of each component's part of the variance; None without components."""
    if not explained:
        return None
    together = [min(part, 1.0) for part in accumulate(explained)]
    points = [*_points(together)]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    (first, _), end = points[0], points[-1]
    return Plot(
        line,
        f"{line}L{end[0]:.1f} {BOTTOM}L{first:.1f} {BOTTOM}Z",
        end,
        [*_across(len(together))],
        [(_up(part), _percent(part)) for part in (0.0, 0.5, 1.0)],
        _caption(together),
        _description(together),
    )


def _points(together: Sequence[float]) -> Iterator[tuple[float, float]]:
    last = -math.inf
    for n, part in enumerate(together, 1):
        x = _x(n, len(together))
        # Of 2,000 components most would fall on the same pixel.
        if x - last >= 0.5 or n == len(together):
            yield x, _up(part)
            last = x


def _x(n: int, most: int) -> float:
    return LEFT + (RIGHT - LEFT) * math.log(n) / math.log(most) if most > 1 else LEFT


def _up(part: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * part


def _across(most: int) -> Iterator[tuple[float, str]]:
    n = 1
    while n < most and RIGHT - _x(n, most) >= LEAST_BETWEEN:
        yield _x(n, most), str(n)
        n *= 4
    yield _x(most, most), str(most)


def _caption(together: Sequence[float]) -> str:
    most, quarter = len(together), len(together) // 4
    parts = [f"One component explains {_percent(together[0])} of the variance"]
    if quarter > 1:
        parts.append(f"{quarter} explain {_percent(together[quarter - 1])}")
    if most > 1:
        parts.append(f"all {most} explain {_percent(together[-1])}")
    return ", ".join(parts) + "."


def _description(together: Sequence[float]) -> str:
    counts = [2**power for power in range(len(together).bit_length())]
    if counts[-1] != len(together):
        counts.append(len(together))
    figures = ", ".join(f"{n}: {_percent(together[n - 1])}" for n in counts)
    return f"Variance explained by the first components together. {figures}"


def _percent(part: float) -> str:
    digits = 1 if 0 < part < 0.1 else 0
    # A no-break space: the sign stays with its number.
    return f"{100 * part:.{digits}f}\N{NO-BREAK SPACE}%"
