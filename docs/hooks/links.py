"""Links that lead out of docs/: a hook of MkDocs.

Pages link to other files of the repository as GitHub wants it, relative to themselves. Some
documents that lie elsewhere are pages of the site as well. A link to any other file becomes its
path in code letters, since the site holds no sources. A link to a file that does not exist, and an
address that is none, is a warning, which ends `make docs`. Other sites are not asked, and no page
loads anything from them.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Where those who look for them expect them, and what they are called on the site.
ELSEWHERE = {
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "migrations/README.md": "project/database.md",
}
# What is quoted as code is matched too, so that no link is found in it.
LINK = re.compile(
    r"```.*?```|(?<!!)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)|`[^`\n]*`",
    re.DOTALL,
)

# What a browser would load with a page.
LOADED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="(https?:[^"]+)"')

log = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents that lie elsewhere as pages."""
    for name, uri in ELSEWHERE.items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Make links out of docs/ lead to a page of the site, or be text."""
    uri = page.file.src_uri
    source = next((name for name, at in ELSEWHERE.items() if at == uri), f"docs/{uri}")
    return rewritten(markdown, source, uri)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Warn of a page that loads something from another site."""
    for address in LOADED.findall(output):
        log.warning("%s: loads %s", page.file.src_uri, address)
    return output


def rewritten(markdown: str, source: str, uri: str) -> str:
    """Rewrite the links of a document, which is `source` in the repository, `uri` on the site."""
    return LINK.sub(lambda found: _link(found, source, uri), markdown)


def _link(found: "re.Match[str]", source: str, uri: str) -> str:
    text, target = found.groups()
    if target is None:
        return found[0]
    if "://" in target:
        if (address := urlsplit(target)).scheme != "https" or not address.hostname:
            log.warning("%s: not the address of a page: %s", source, target)
        return found[0]
    path, _, anchor = target.partition("#")
    if not path:
        return found[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if path.startswith("docs/") and path.endswith(".md"):
        page = path.removeprefix("docs/")
    elif path in ELSEWHERE:
        page = ELSEWHERE[path]
    else:
        if not (ROOT / path).exists():
            log.warning("%s: no such file: %s", source, target)
        return f"{text} (`{path}`)" if text.strip("`") != path else text
    # Whether there is such a page, MkDocs itself checks.
    to = posixpath.relpath(page, posixpath.dirname(uri) or ".")
    return f"[{text}]({to}{'#' + anchor if anchor else ''})"
