"""Generate the table of networks: a hook of MkDocs.

`<!-- backbones -->` on a page becomes a row for each network of `spocdb.features.backbones`.
"""

from fractions import Fraction
from typing import Any

from spocdb.features import backbones
from spocdb.features.declarations import Backbone

MARKER = "<!-- backbones -->"
HEADER = (
    "| `--extractor` | cut after | raw descriptor | input | sigma | its own weights |\n"
    "|---|---|---|---|---|---|"
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker of a page. MkDocs calls this for every page."""
    rows = map(_row, map(backbones.find, backbones.names()))
    return markdown.replace(MARKER, "\n".join([HEADER, *rows]))


def _row(backbone: Backbone) -> str:
    layer = backbone.layer
    sigma = Fraction(backbone.sigma).limit_denominator(100) if backbone.sigma else "no prior"
    cut = f"`{layer}`, {'after' if backbone.relu else 'before'} the activation"
    values, size = backbone.channels(layer), f"{backbone.size} x {backbone.size}"
    own = backbone.licence or "none: give a file with `--weights`"
    return f"| `{backbone.name}` | {cut} | {values} values | {size} | {sigma} | {own} |"
