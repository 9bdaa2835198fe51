"""Remove what only readers of a page's source need: a hook of MkDocs.

Generated tables are missing in the source, so a paragraph `> **On GitHub** ...` says where they
are. On the site they are there.
"""

import re
from typing import Any

NOTE = re.compile(r"^> \*\*On GitHub\*\*.*\n(?:>.*\n)*\n?", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Remove the notes of a page. MkDocs calls this for every page."""
    return NOTE.sub("", markdown)
