"""Groups of duplicates as a file: CSV, JSON lines, or a shell script that a person reads and runs.

spocdb itself deletes and moves no file. The script shows what it would do; with --run it does it.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TextIO

from spocdb import outfiles
from spocdb.db.duplicate_groups import DuplicateGroup, DuplicateImage
from spocdb.errors import ConfigError

SUFFIXES = (".csv", ".jsonl", ".sh")
COLUMNS = ("keeper_id", "id", "path", "distance", "width", "height", "size", "sha256")

BEGIN = """\
#!/bin/sh
# Duplicates found by spocdb. This shows what would be done; sh FILE --run does it.
set -eu
case "${1-}" in
  --run) run() { "$@"; } ;;
  "") run() { printf '%s ' "$@"; echo; } ;;
  *) echo "usage: sh FILE [--run]" >&2; exit 2 ;;
esac
"""
# -n: a file that is there already is not overwritten.
MOVE = """\
# move KEEPER DUPLICATE TO
move() {
  if [ ! -e "$1" ]; then echo "left alone, its keeper is gone: $2" >&2; return; fi
  if [ ! -e "$2" ]; then echo "gone: $2" >&2; return; fi
  if [ -e "$3" ]; then echo "left alone, there is a file: $3" >&2; return; fi
  run mkdir -p -- "$(dirname -- "$3")"
  run mv -n -- "$2" "$3"
}
"""
LINK = """\
# link KEEPER DUPLICATE: both names, one file
link() {
  if ! cmp -s -- "$1" "$2"; then echo "left alone, not the same bytes: $2" >&2; return; fi
  run ln -f -- "$1" "$2"
}
"""

Write = Callable[[TextIO, Iterable[DuplicateGroup]], int]


def writer(file: Path, move_to: Path | None, *, link: bool) -> Write:
    """Return what writes groups to a file of this name; it returns the number of duplicates.

    Raises:
        ConfigError: the name has another suffix, its folder cannot be written to, or what the
            script should do is not clear.
    """
    outfiles.check(file, SUFFIXES)
    if file.suffix != ".sh":
        if move_to or link:
            raise ConfigError(f"{file} is no script: leave out `move_to=...` and `link=True`")
        return _write_csv if file.suffix == ".csv" else _write_lines
    if bool(move_to) == link:
        raise ConfigError("a script needs either `move_to=...` or `link=True`", field="file")
    return _write_links if move_to is None else lambda out, found: _write_moves(out, found, move_to)


def _write_csv(out: TextIO, groups: Iterable[DuplicateGroup]) -> int:
    rows = csv.DictWriter(out, COLUMNS)
    rows.writeheader()
    n = 0
    for group in groups:
        for image in (group.keeper, *group.others):
            rows.writerow({"keeper_id": group.keeper.id, **asdict(image)})
        n += len(group.others)
    return n


def _write_lines(out: TextIO, groups: Iterable[DuplicateGroup]) -> int:
    n = 0
    for group in groups:
        out.write(json.dumps(asdict(group)) + "\n")
        n += len(group.others)
    return n


def _write_moves(out: TextIO, groups: Iterable[DuplicateGroup], folder: Path) -> int:
    out.write(BEGIN + MOVE)
    n = 0
    for keeper, image in _pairs(groups):
        # The whole path below the folder, so that files of one name do not meet.
        target = folder / image.path.lstrip("/")
        out.write(f"move {quote(keeper.path)} {quote(image.path)} {quote(str(target))}\n")
        n += 1
    return n


def _write_links(out: TextIO, groups: Iterable[DuplicateGroup]) -> int:
    out.write(BEGIN + LINK)
    n = 0
    for keeper, image in _pairs(groups):
        if image.sha256 == keeper.sha256:
            out.write(f"link {quote(keeper.path)} {quote(image.path)}\n")
            n += 1
    return n


def _pairs(groups: Iterable[DuplicateGroup]) -> Iterator[tuple[DuplicateImage, DuplicateImage]]:
    return ((group.keeper, image) for group in groups for image in group.others)
