"""How rows become pages: their order, where a page begins and ends, and how the next is found."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

Paging = Literal["keyset", "offset"]
Order = Literal["newest_first", "oldest_first", "oldest_page_first", "unsorted"]
"""In which order responses come; `oldest_page_first` are newest first within each page."""
Position = int | tuple[int, int]
"""Where the next page begins: a number of rows to skip, or the key of the last row served."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which page to cut out of a listing.

    Attributes:
        position: Where the page begins; None for the first page.
        limit: How many rows at most.
        paging: Whether the next position is the key of the last row, which stays right while rows
            come and go, or a number of rows, which does not.
        order: In which order rows come.
        step_back: Begin this many rows earlier, so that rows repeat.
    """

    position: Position | None
    limit: int
    paging: Paging = "keyset"
    order: Order = "newest_first"
    step_back: int = 0


@dataclass(frozen=True, slots=True)
class PageSlice:
    """Rows of one page, already encoded, and where the next page begins (None: it is the last)."""

    rows: list[bytes]
    next_position: Position | None


@dataclass(slots=True)
class Row:
    """What a listing is made of, encoded."""

    key: tuple[int, int]
    """Created (microseconds since 1970), then the order of arrival, which breaks ties."""
    body: bytes


def row_key(row: Row) -> tuple[int, int]:
    """Return what rows are sorted by."""
    return row.key


def cut_page(rows: Sequence[Row], cut: Cut) -> PageSlice:
    """Cut a page out of rows that are sorted oldest first, newest first unless ordered else."""
    rows = _ordered(rows, cut)
    if cut.position is None:
        start = 0
    elif isinstance(cut.position, int):
        start = cut.position
    else:
        start = len(rows) - bisect_left(rows, cut.position, key=row_key)
    start = max(0, start - cut.step_back)
    page = list(_newest(rows, start, start + cut.limit))
    if start + cut.limit >= len(rows):
        return PageSlice([row.body for row in page], None)
    following = page[-1].key if cut.paging == "keyset" else start + cut.limit
    return PageSlice([row.body for row in page], following)


def _ordered(rows: Sequence[Row], cut: Cut) -> Sequence[Row]:
    """Give rows such keys that the newest of them come in this order, whatever comes or goes."""
    if cut.order == "newest_first":
        return rows
    if cut.order == "oldest_first":
        return [Row((-row.key[0], -row.key[1]), row.body) for row in reversed(rows)]
    if cut.order == "oldest_page_first":
        keyed = (Row((-(place // cut.limit), place), row.body) for place, row in enumerate(rows))
    else:
        keyed = (Row((crc32(repr(row.key).encode()), row.key[1]), row.body) for row in rows)
    return sorted(keyed, key=row_key)


def _newest(rows: Sequence[Row], start: int, stop: int) -> Iterator[Row]:
    end = len(rows) - start
    return reversed(rows[max(0, len(rows) - stop) : max(0, end)])
