"""One Parquet file: which column holds images, what the others say, and its rows, read forwards.

A batch of rows is decoded at a time, and the file is read page by page, so that memory depends on
its pages and not on its size.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from functools import partial
from itertools import accumulate
from typing import Any

from spocdb.errors import ConfigError, ImageError, ImageVanished, UnreadableImage
from spocdb.sources.members import Readable, Stream
from spocdb.text import one_line

Row = dict[str, Any]

# Rows decoded at a time; bytes of a column that are read at once, and at most.
BATCH, READ_AT_ONCE, MOST_AT_ONCE = 16, 2**18, 2**31
# Columns of texts with one of these names hold paths or URLs of images, if no column holds bytes.
NAMES = ("image", "image_path", "path", "file", "file_name", "filename", "image_url", "url")
# Columns and characters of them in a message.
MOST_TOLD = 300


class ParquetTable:
    """An opened Parquet file.

    Raises:
        ConfigError: pyarrow is missing.
        ImageVanished: The file cannot be read.
        UnreadableImage: It is damaged, or no Parquet file.
    """

    def __init__(self, path: str, opened: Readable) -> None:
        pa, parquet = _pyarrow()
        self.path, self.version = path, opened.version
        try:
            self._file = parquet.ParquetFile(
                pa.PythonFile(Stream(opened, MOST_AT_ONCE), mode="r"), buffer_size=READ_AT_ONCE
            )
            self.schema, self.n_rows = self._file.schema_arrow, self._file.metadata.num_rows
            str(self.schema)  # names that are not UTF-8 are damage, too
            groups = (self._file.metadata.row_group(n) for n in range(self._file.num_row_groups))
            self._starts = [0, *accumulate(group.num_rows for group in groups)]
        except ImageError:
            raise
        except _damage() as error:
            raise damaged(error) from error
        self._features = _features(self.schema.metadata or {})

    def image_column(self, wanted: str | None) -> str:
        """Return the column that holds the images.

        Raises:
            ConfigError: There is no such column, or it is not clear which one it is.
        """
        if wanted is not None and wanted in self.schema.names:
            return wanted
        if wanted is None:
            for found in (self._declared(), self._typed(_is_image), self._typed(_is_bytes)):
                if len(found) > 1:
                    break
                if found:
                    return found[0]
            else:
                found = [n for n in self._typed(_is_text) if n.lower() in NAMES]
                if len(found) == 1:
                    return found[0]
        there = ", ".join(f"{field.name} ({_short(field.type)})" for field in self.schema)
        what = f"has no column {wanted!r}" if wanted else "does not say which column holds images"
        advice = "there are" if wanted else "name it by `image_column=NAME`; there are"
        raise ConfigError(f"{self.path} {what}: {advice}: {one_line(there, MOST_TOLD)}")

    def described(self, column: str) -> tuple[list[str], list[str]]:
        """Return the other columns that become metadata, and those that cannot."""
        others = [field for field in self.schema if field.name != column]
        simple = [field.name for field in others if _is_simple(field.type)]
        return simple, [
            f"{field.name} ({_short(field.type)})" for field in others if field.name not in simple
        ]

    def group_of(self, number: int) -> int:
        """Return the row group of a row."""
        return bisect_right(self._starts, number) - 1

    def rows(self, first: int, columns: list[str]) -> Iterator[tuple[int, Callable[[], Row]]]:
        """Yield numbers and contents of the rows from `first` on, to the end of its group.

        Raises:
            UnreadableImage: The group is damaged.
            ImageVanished: The file was changed meanwhile.
        """
        group = self.group_of(first)
        at = self._starts[group]
        # Known before the loop, which may be left at any time, also while the program ends.
        damage = _damage()
        try:
            for batch in self._file.iter_batches(
                BATCH, row_groups=[group], columns=columns, use_threads=False
            ):
                for n in range(max(first - at, 0), batch.num_rows):
                    yield at + n, partial(_row, batch, n)
                at += batch.num_rows
        except ImageError:
            raise
        except damage as error:
            raise damaged(error) from error

    def metadata(self, row: Row, columns: list[str]) -> Row:
        """Return what other columns say of a row, as JSON values; empty ones are left out."""
        said = {name: _json(self._named(name, row.get(name))) for name in columns}
        return {name: value for name, value in said.items() if value is not None}

    def _named(self, column: str, value: Any) -> Any:
        """Return the name of a class, if the file tells the names of this column's numbers."""
        feature = self._features.get(column)
        names = feature.get("names") if isinstance(feature, dict) else None
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(names, list) and is_number and 0 <= value < len(names):
            return str(names[value])
        return value

    def _declared(self) -> list[str]:
        """Return the columns that Hugging Face's metadata declare as images."""
        return [
            name
            for name, feature in self._features.items()
            if isinstance(feature, dict)
            and feature.get("_type") == "Image"
            and name in self.schema.names
        ]

    def _typed(self, is_kind: Any) -> list[str]:
        return [field.name for field in self.schema if is_kind(field.type)]


class Cursor:
    """Finds rows of a file, mostly in its order; used by one thread."""

    def __init__(self, table: ParquetTable, column: str) -> None:
        self.table, self.column = table, column
        self.others, _ = table.described(column)
        self._group, self._next = -1, 0
        self._coming: Iterator[tuple[int, Callable[[], Row]]] = iter(())
        self._error: ImageError | None = None

    def find(self, number: int) -> Row:
        """Return a row. What is damaged is not read again for the other rows of its group.

        Raises:
            ImageError: The file is damaged, was changed, or has no such row.
        """
        group = self.table.group_of(number)
        if group != self._group or number < self._next:
            self._coming = self.table.rows(number, [self.column, *self.others])
            self._group, self._error = group, None
        if self._error:
            raise self._error.with_traceback(None)
        self._next = number + 1
        try:
            content = next((content for at, content in self._coming if at == number), None)
        except ImageError as error:
            self._error = error
            raise
        if content is None:
            raise ImageVanished("the file has no such row any more")
        return content()


def damaged(error: Exception) -> UnreadableImage:
    """Return the error of a file that pyarrow cannot read."""
    told = one_line(str(error), MOST_TOLD)
    return UnreadableImage(f"the Parquet file is damaged or cut off ({told}): fetch it again")


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError("Parquet needs a package: pip install 'spocdb[parquet]'") from None
    return pyarrow, parquet


def _damage() -> tuple[type[Exception], ...]:
    pa, _ = _pyarrow()
    # What pyarrow raises for damaged files.
    return (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return what Hugging Face's `datasets` says of each column; nothing if it does not."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _is_bytes(kind: Any) -> bool:
    types = _pyarrow()[0].types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


def _is_text(kind: Any) -> bool:
    types = _pyarrow()[0].types
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_image(kind: Any) -> bool:
    """Return whether a type is struct<bytes, path>, as of Hugging Face's images."""
    if not _pyarrow()[0].types.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    return set(fields) == {"bytes", "path"} and _is_bytes(fields["bytes"])


def _is_simple(kind: Any) -> bool:
    types = _pyarrow()[0].types
    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    return _is_text(kind) or any(
        is_kind(kind)
        for is_kind in (
            *(types.is_integer, types.is_floating, types.is_boolean, types.is_decimal),
            *(types.is_date, types.is_timestamp, types.is_time),
        )
    )


def _json(value: Any) -> Any:
    """Return a value of a simple column as JSON; None for what has no value."""
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if isinstance(value, str | int | bool | None) else float(value)


def _row(batch: Any, n: int) -> Row:
    """Return the contents of a row. Raises UnreadableImage for a text that is not UTF-8."""
    try:
        return {name: batch.column(name)[n].as_py() for name in batch.schema.names}
    except _damage() as error:
        raise damaged(error) from error


def _short(kind: Any) -> str:
    return one_line(str(kind), 60)
