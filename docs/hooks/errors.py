"""Generate the meanings of errors: a hook of MkDocs.

`<!-- error: ImageTooLarge -->` on a page becomes the first sentence of that class's docstring.
"""

import inspect
import re
from typing import Any

from mkdocs.exceptions import PluginError

from spocdb import errors

MARKER = re.compile(r"<!-- error: (\w+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each marker of a page. MkDocs calls this for every page."""
    return MARKER.sub(lambda found: meaning(found[1]), markdown)


def meaning(name: str) -> str:
    """Return what an error means, without the full stop."""
    if not (text := inspect.getdoc(getattr(errors, name, None))):
        raise PluginError(f"no error {name} in spocdb.errors")
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")
