"""Rows of a CSV, read line by line: no line, row or run of blank lines is longer than is usual.

What the cells mean is in `export_rows`, for an Insights export, and in `streams/formats`.
"""

import csv
from collections.abc import Iterator
from typing import TextIO

from hotjar_assets.api.json_values import clean
from hotjar_assets.api.limits import MAX_RECORD_BYTES, too_long
from hotjar_assets.errors import HotjarLimitError

MAX_BLANK_LINES = 10_000
"""Most blank lines; for each row, there may be two more."""

# One limit for the whole process, and a respondent may well write more than the default.
csv.field_size_limit(MAX_RECORD_BYTES)


class CsvReader:
    """Yields the cells of each row that is not blank.

    Args:
        text: The CSV, opened with `newline=""`.
        delimiter: Between two cells.
        place: The file, for an error.

    Attributes:
        line: First line of the row, from 1.

    Raises:
        HotjarLimitError: A row, or the blank lines between two, are too long.
        csv.Error: The row is not well-formed.
        UnicodeError: It is of another encoding.
    """

    def __init__(self, text: TextIO, *, delimiter: str = ",", place: str = "") -> None:
        self._text = text
        self._delimiter = delimiter
        self._place = place
        self._lines = self._characters = 0
        self.line = 1

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the rows; once."""
        rows = blank = 0
        for cells in csv.reader(self._iter_lines(), delimiter=self._delimiter, strict=True):
            if cells:
                rows += 1
                yield cells
            else:
                blank += 1
                if blank > MAX_BLANK_LINES + 2 * rows:
                    place = f"{self._place}line {self.line}"
                    limit = f"{MAX_BLANK_LINES}, and two for each row"
                    raise HotjarLimitError(place, "comes after too many blank lines", limit=limit)
            self.line, self._characters = self._lines + 1, 0

    def _iter_lines(self) -> Iterator[str]:
        while line := self._text.readline(MAX_RECORD_BYTES):
            self._lines += 1
            self._characters += len(line)
            if self._characters >= MAX_RECORD_BYTES:
                raise too_long(f"{self._place}line {self.line}")
            yield clean(line)
