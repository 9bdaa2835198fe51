"""Groups of duplicates as a file: CSV, JSON lines, or a shell script that a person reads and runs.

spocdb itself deletes and moves no file. The script shows what it would do; with `run` it does it.
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
COLUMNS = ("keeper_id", "id", "path", "distance", "level", "width", "height", "size", "sha256")

BEGIN = """\
#!/bin/sh
# Duplicates found by spocdb. This shows what would be done; sh FILE run does it.
set -eu
# A name may hold a line break or what a terminal acts on.
say() { printf '%s' "$*" | LC_ALL=C tr '\\000-\\037\\177' '?'; echo; }
case "${1-}" in
  run) run() { "$@"; } ;;
  "") run() { say "$@"; } ;;
  *) echo "usage: sh FILE [run]" >&2; exit 2 ;;
esac
leave() { say "left alone, $1: $2" >&2; }
# Whether KEEPER and DUPLICATE are two files. A symbolic link may lead from one to the other.
are_two() {
  if [ -L "$1" ] || [ -L "$2" ]; then leave "a symbolic link" "$2"; return 1; fi
  if [ ! -f "$1" ]; then leave "its keeper is gone" "$2"; return 1; fi
  if [ ! -f "$2" ]; then leave "it is gone" "$2"; return 1; fi
  if [ "$1" -ef "$2" ]; then leave "it is the same file as its keeper" "$2"; return 1; fi
}
"""
MOVE = """\
# move KEEPER DUPLICATE TO SIZE
move() {
  are_two "$1" "$2" || return 0
  if [ -e "$3" ] || [ -L "$3" ]; then leave "there is a file" "$3"; return; fi
  if [ "$(wc -c < "$2")" -ne "$4" ]; then leave "it has changed" "$2"; return; fi
  run mkdir -p -- "$(dirname -- "$3")"
  run mv -n -- "$2" "$3"
}
"""
# The link has a name of its own until it takes the place of the file, whose name is never gone.
LINK = """\
# link KEEPER DUPLICATE: both names, one file
link() {
  are_two "$1" "$2" || return 0
  if ! cmp -s -- "$1" "$2"; then leave "it has other bytes than its keeper" "$2"; return; fi
  run ln -- "$1" "$2.spocdb-link"
  run mv -f -- "$2.spocdb-link" "$2"
}
"""
END = """\
[ "${1-}" = run ] || say "nothing was changed: sh $0 run does it" >&2
"""

Write = Callable[[TextIO, Iterable[DuplicateGroup]], int]


def writer(file: Path, move_to: Path | None, *, link: bool) -> Write:
    """Return what writes groups to a file of this name; it returns the number of duplicates.

    Raises:
        ConfigError: the name has another suffix, its folder cannot be written to, or what the
            script should do is not clear.
    """
    outfiles.check(file, SUFFIXES)
    suffix = file.suffix.lower()
    if suffix != ".sh":
        if move_to or link:
            raise ConfigError(f"{file} is no script: leave out `move_to=...` and `link=True`")
        return _write_csv if suffix == ".csv" else _write_lines
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
        names = " ".join(quote(name) for name in (keeper.path, image.path, str(target)))
        out.write(f"move {names} {image.size}\n")
        n += 1
    out.write(END)
    return n


def _write_links(out: TextIO, groups: Iterable[DuplicateGroup]) -> int:
    out.write(BEGIN + LINK)
    n = 0
    for keeper, image in _pairs(groups):
        if image.sha256 == keeper.sha256:
            out.write(f"link {quote(keeper.path)} {quote(image.path)}\n")
            n += 1
    out.write(END)
    return n


def _pairs(groups: Iterable[DuplicateGroup]) -> Iterator[tuple[DuplicateImage, DuplicateImage]]:
    return ((group.keeper, image) for group in groups for image in group.others)
