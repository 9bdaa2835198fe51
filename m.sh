#!/bin/sh
# Duplicates found by spocdb. This shows what would be done; sh FILE run does it.
set -eu
# A name may hold a line break or what a terminal acts on.
say() { printf '%s' "$*" | LC_ALL=C tr '\000-\037\177' '?'; echo; }
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
# move KEEPER DUPLICATE TO SIZE
move() {
  are_two "$1" "$2" || return 0
  if [ -e "$3" ] || [ -L "$3" ]; then leave "there is a file" "$3"; return; fi
  if [ "$(wc -c < "$2")" -ne "$4" ]; then leave "it has changed" "$2"; return; fi
  run mkdir -p -- "$(dirname -- "$3")"
  run mv -n -- "$2" "$3"
}
move /photos/000000.jpg /photos/000070.jpg /work/wt-collapse/photos/000070.jpg 1
