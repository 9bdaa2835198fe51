"""A file behind a URL, read from its beginning to its end: for servers that send no parts."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock

from spocdb.sources.fetching import FETCH_SECONDS
from spocdb.sources.hosts import slot
from spocdb.sources.lines import CLOSE, Line, parse, trouble_told
from spocdb.sources.parts import check_there, whole


class Changed(Exception):
    """The file has another version than the one that was opened."""


# One for whoever lists an archive, and one for whoever reads it.
MOST_ANSWERS = 2


@dataclass(slots=True, eq=False)
class _Answer:
    """An answer whose body was read up to `at`; `rest` has bytes after that."""

    line: Line
    pieces: Iterator[bytes]
    opened: ExitStack
    at: int = 0
    rest: bytearray = field(default_factory=bytearray)


class Body:
    """The bytes of a file of a version, in blocks of `block` bytes. Threads may share it.

    It is read at two places at most, each with a connection, which waits without a turn at its
    host. Each block has a deadline of its own. To go back, or on after an error, the file is asked
    for again, and what comes before is passed over.
    """

    def __init__(self, url: str, version: str, block: int, advice: str | None) -> None:
        self._target, self._version, self._block = parse(url), version, block
        self._advice = advice
        self._answers: list[_Answer] = []
        self._lock = Lock()
        weakref.finalize(self, _close, self._answers)

    def read(self, n: int, passed: Callable[[int, bytes], None]) -> bytes:
        """Return a block by its number, shorter or empty at the end of the file.

        `passed` gets the blocks before it, back to one that was read.

        Raises:
            Changed: The file is of another version.
            ImageError: It cannot be fetched.
        """
        with self._lock, slot(self._target.host):
            found = self._before(n)
            answer = found or self._asked()
            try:
                while answer.at < n * self._block:
                    number, data = answer.at // self._block, self._next(answer)
                    if not data:
                        return b""
                    if found:
                        passed(number, data)
                return self._next(answer)
            except BaseException:
                self._answers.remove(answer)
                answer.opened.close()
                raise

    def _before(self, n: int) -> _Answer | None:
        """Return the answer that was read up to a block, or to one before it, but no further."""
        ready = [answer for answer in self._answers if answer.at <= n * self._block]
        return max(ready, key=_place, default=None)

    def _asked(self) -> _Answer:
        """Ask for the file, and give up the answer that was read least, if there are two."""
        if len(self._answers) == MOST_ANSWERS:
            first = min(self._answers, key=_place)
            self._answers.remove(first)
            first.opened.close()
        line = Line(self._advice)
        with ExitStack() as stack:
            stack.callback(line.close)
            asked = line.answer(self._target, (CLOSE,), FETCH_SECONDS)
            response, headers = stack.enter_context(asked)
            check_there(response, 200)
            if whole(headers).version != self._version:
                raise Changed
            answer = _Answer(line, response.iter_stream(), stack.pop_all())
        self._answers.append(answer)
        return answer

    def _next(self, answer: _Answer) -> bytes:
        answer.line.renew(FETCH_SECONDS)
        with trouble_told():
            while len(answer.rest) < self._block and (piece := next(answer.pieces, None)):
                answer.rest += piece
        data = bytes(answer.rest[: self._block])
        del answer.rest[: self._block]
        answer.at += len(data)
        return data


def _place(answer: _Answer) -> int:
    return answer.at


def _close(answers: list[_Answer]) -> None:
    while answers:
        answers.pop().opened.close()
