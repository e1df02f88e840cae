"""Limits on what is read from others: an answer of an API, an export, the columns of a table.

A small answer can unpack to a large one, and a large one to far larger Python objects. So answers
are weighed before they are parsed: by their bytes, and by how many values those can hold. How much
is taken is a setting where a user may need more (see `Limits`), else a constant.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hotjar_assets.config import Settings, environment_variable
from hotjar_assets.errors import HotjarLimitError

MIB = 1024 * 1024
MAX_LOGIN_BYTES = 4 * MIB
"""The largest answer to a login."""
MAX_RECORD_BYTES = 8 * MIB
"""The longest record or line: it is held several times while it is stored."""
MAX_DEPTH = 200
"""Arrays and objects inside of one another."""
MAX_CURSOR_LENGTH = 16 * 1024
"""Longest cursor: it is sent back, mostly in a URL."""
MAX_PAGE_ROWS = 1000
"""Most rows in a page of the API, which documents 100."""
MAX_ANSWER, MAX_EXPORT, MAX_COLUMNS = map(
    environment_variable, ("max_answer_mb", "max_export_mb", "max_columns")
)
"""The settings that name these limits."""
LARGE_BYTES = MIB
"""Answers beyond this size are read and handled one after the other."""

_VALUE_BYTES = 64
"""What a value takes as a Python object, without its text; an array or object takes three times."""
_MOST_FOR_A_BYTE = 3 * _VALUE_BYTES + 9
"""What a byte of an answer takes at most: as a bracket, and as a text of wide characters."""
_COUNTED_BYTES = 64 * 1024
_BEYOND_16_BITS = re.compile(rb"[\xf0-\xff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89abAB]")


def _default(name: str) -> int:
    return int(Settings.model_fields[name].default)


@dataclass(frozen=True)
class Limits:
    """What a user may set.

    Attributes:
        answer_mb: Memory in MiB that one answer, or the listing of a site's surveys, may take.
        export_mb: MiB that an Insights export may hold when it is unpacked.
        columns: Columns that a stream's table, or an export, may have.
    """

    answer_mb: int = _default("max_answer_mb")
    export_mb: int = _default("max_export_mb")
    columns: int = _default("max_columns")

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Take the limits from the settings."""
        return cls(settings.max_answer_mb, settings.max_export_mb, settings.max_columns)

    @property
    def answer_bytes(self) -> int:
        """Bytes that an answer may have: its text alone takes three times as much memory."""
        return self.answer_mb * MIB // 3

    @property
    def export_bytes(self) -> int:
        """Bytes that an export may have when it is unpacked."""
        return self.export_mb * MIB

    def check_answer(self, body: bytes, *, separators: bytes = b",", rows: bytes = b"") -> None:
        """Refuse an answer that would take too much memory once it is parsed.

        Args:
            body: The body: JSON, JSON lines or CSV.
            separators: Bytes of which any stands between two values.
            rows: Bytes of which any ends a record, where that is not a bracket.

        Raises:
            HotjarLimitError: More than `HOTJAR_MAX_ANSWER_MB`.
        """
        allowed = self.answer_mb * MIB
        # Most answers are too short to be large, whatever they hold.
        if len(body) * _MOST_FOR_A_BYTE > allowed:
            memory = memory_of(body, separators=separators, rows=rows, enough=allowed)
            self.check_memory("body", memory)

    def check_memory(self, place: str, memory: int) -> None:
        """Refuse what takes too much memory.

        Raises:
            HotjarLimitError: More than `HOTJAR_MAX_ANSWER_MB`.
        """
        if memory > self.answer_mb * MIB:
            problem = f"takes about {memory // MIB} MiB of memory with all its values"
            raise HotjarLimitError(place, problem, limit=self.answer_mb, setting=MAX_ANSWER)


DEFAULT_LIMITS = Limits()


def memory_of(body: bytes, *, separators: bytes = b",", rows: bytes = b"", enough: int = 0) -> int:
    """Return about how much memory an answer takes once it is parsed, and never much less.

    Every value but the first of an array or object follows a comma, so that counting bytes bounds
    the values. Only if that is more than `enough` are commas and brackets inside of texts told
    from others, which takes longer.
    """
    text = len(body) * (1 + 2 * _character_bytes(body))
    values = _count(body, separators, rows)
    if text + values * _VALUE_BYTES > enough:
        values = _count_outside_texts(body, separators, rows)
    return text + values * _VALUE_BYTES


def _character_bytes(body: bytes) -> int:
    """Return how many bytes the longest character takes in a Python text."""
    if len(body) <= LARGE_BYTES:
        return 2
    if _BEYOND_16_BITS.search(body) or _ESCAPED_SURROGATE.search(body):
        return 4
    return 1 if body.isascii() and b"\\u" not in body else 2


def _count(body: bytes, separators: bytes, rows: bytes) -> int:
    containers = body.count(b"[") + body.count(b"{")
    # Of the bytes that end a record, only one does in an answer, or both do together.
    containers += max(map(body.count, rows), default=0)
    return 1 + sum(map(body.count, separators)) + 3 * containers


def _count_outside_texts(body: bytes, separators: bytes, rows: bytes) -> int:
    # Without what is escaped, every quote begins or ends a text.
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    values, is_text = 1, False
    for start in range(0, len(body), _COUNTED_BYTES):
        parts = body[start : start + _COUNTED_BYTES].split(b'"')
        outside = b"".join(parts[is_text::2])
        values += _count(outside, separators, rows) - 1
        is_text ^= len(parts) % 2 == 0
    return values


def check_record(record: Any, place: str) -> None:
    """Refuse a record whose texts are too long to be stored.

    Raises:
        HotjarLimitError: They have more than `MAX_RECORD_BYTES`.
    """
    if sum(map(len, _texts(record))) > MAX_RECORD_BYTES:
        raise too_long(place)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def too_long(place: str) -> HotjarLimitError:
    """Return the error for a record or line that is too long."""
    return HotjarLimitError(place, "is too long", limit=f"{MAX_RECORD_BYTES // MIB} MiB")


def too_many_columns(place: str, columns: int, limit: int, advice: str = "") -> HotjarLimitError:
    """Return the error for a table or a file that has too many columns."""
    problem = f"has {columns} columns" + (f"; {advice}" if advice else "")
    return HotjarLimitError(place, problem, limit=limit, setting=MAX_COLUMNS)


class OneAtATime:
    """Lets one thread after the other handle a large answer, in the whole process.

    A thread enters when its answer turns out to be large, and leaves when it is dealt with: after
    its request, or, for a page that is walked through, when the next page is asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._local = threading.local()

    @property
    def is_inside(self) -> bool:
        """Whether this thread has entered."""
        return getattr(self._local, "is_inside", False)

    def enter(self) -> None:
        """Wait until no other thread handles a large answer."""
        if not self.is_inside:
            self._lock.acquire()
            self._local.is_inside = True

    def leave(self) -> None:
        """Let the next thread go on, if this one had entered."""
        if self.is_inside:
            self._local.is_inside = False
            self._lock.release()

    def after_request(self) -> None:
        """Leave, unless this thread walks through pages."""
        if not getattr(self._local, "is_walking", False):
            self.leave()

    @contextmanager
    def walking(self) -> Iterator[None]:
        """Stay inside between a request and the `leave` after its page."""
        self._local.is_walking = True
        try:
            yield
        finally:
            self._local.is_walking = False
            self.leave()


large_answers = OneAtATime()
