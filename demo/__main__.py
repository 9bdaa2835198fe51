"""A tour of spocdb that shows commands and runs them.

From the repository's root: python -m demo [--images FOLDER]
In a terminal it ends with the page of `spocdb serve`, until Ctrl-C.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory

from demo.gallery import make_gallery
from demo.shell import Shell

OUT = Path("demo/out")
SHEET = OUT / "results.png"
EXTRACTOR = ("--extractor", "mini")
# Of the first two components: a map by umap takes as long as all the rest of the demo.
MAP = ("map", "--method", "components")
NEAREST = r"""
    SELECT regexp_replace(path, '.*/', '') AS photo
    FROM spocdb.photos
    ORDER BY embedding <#> (SELECT embedding FROM spocdb.photos WHERE id = 1)
    LIMIT 5"""


def main() -> None:
    """Generate pictures, or use those of a folder, and search them in a temporary database."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="A tour of spocdb.")
    parser.add_argument("--images", type=Path, help="a folder with your own pictures")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="spocdb-demo-") as folder:
        shell = Shell(Path(folder))
        try:
            if arguments.images is None:
                show_gallery(shell)
            else:
                show_folder(shell, arguments.images)
            print(f"\nThe answers as a picture: {SHEET}")
            if sys.stdin.isatty():
                print("Look at the pictures in a browser, and find more: Ctrl-C ends the demo.")
                shell.serve()
        except CalledProcessError as error:
            sys.exit(error.returncode)
        finally:
            shell.stop()


def show_folder(shell: Shell, images: Path) -> None:
    """Search a folder with its first picture."""
    shell.spocdb("ingest", images, *EXTRACTOR)
    shell.spocdb("search", "--id", "1", "-k", "10", "--sheet", SHEET)
    shell.spocdb(*MAP)
    shell.psql(NEAREST)


def show_gallery(shell: Shell) -> None:
    """Search views of photographs with the original photographs, which are not among them."""
    metadata, queries = make_gallery(OUT)
    query = OUT / "queries" / "chelsea.jpg"
    print(f"pictures: twelve views of each of {len(queries)} photographs, in {OUT / 'images'}")
    shell.spocdb("ingest", OUT / "images", *EXTRACTOR, "--metadata", metadata)
    # With few pictures, whitening amplifies noise. With about as many components as subjects it
    # helps, with twice as many it hurts.
    shell.spocdb("pca", "fit", "--dim", "16", "--activate")
    shell.spocdb("search", query, "-k", "10", "--sheet", SHEET)
    shell.spocdb("search", query, "-k", "3", "--filter", "view=7")
    shell.spocdb(*MAP)
    shell.psql(NEAREST)
    count_right(shell, queries[::3])


def count_right(shell: Shell, queries: Sequence[Path]) -> None:
    """Print how many of the ten best answers show the subject of the query."""
    right = 0
    with shell.connect() as db:
        for query in queries:
            right += sum(hit.metadata["subject"] == query.stem for hit in db.search(query, k=10))
    print(f"\n{len(queries)} photographs, ten answers each: {right} of {10 * len(queries)} right")


if __name__ == "__main__":
    main()
