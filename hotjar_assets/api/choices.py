"""Which choices of a question a cell of an export names.

How the choices that one person ticked stand in a cell is not documented, and a choice may hold the
very sign that separates them. So a cell is taken apart only where it is known choices from end to
end, each once, between separators that are usual, and where there is no second way to read it so.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from hotjar_assets.api.records import Question

_SEPARATOR = re.compile(r"\s*[,;|\n]\s*")
_SINGLE = "single"
"""How types begin of which one choice is all that can be ticked."""
_CELLS_REMEMBERED = 1024
_MOST_TRIED = 200_000
"""Each choice is tried at each character: a cell for which that is more is kept as it is."""


class Choices:
    """The choices of one question, of which several may be ticked.

    Args:
        texts: Their texts.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._patterns = [(text, _pattern(text)) for text in dict.fromkeys(texts) if text.strip()]
        # Each once, and some signs and spaces between them; nothing longer is looked at.
        self._longest = sum(2 * len(text) + 4 for text, _ in self._patterns)
        # The same few combinations come again and again.
        self._read = lru_cache(_CELLS_REMEMBERED)(self._read_cell)

    @classmethod
    def of(cls, question: Question) -> "Choices":
        """Take the choices of a question; none where only one can be ticked, or none is known."""
        if str(question.type or "").startswith(_SINGLE):
            return cls()
        return cls(str(choice.text) for choice in question.choices or () if choice.text is not None)

    def named_in(self, cell: str) -> tuple[str, ...]:
        """Return the choices that a cell names, in its order; or the cell as it is."""
        is_short = len(cell) <= min(self._longest, _MOST_TRIED // max(1, len(self._patterns)))
        return self._read(cell) if is_short else (cell,)

    def _read_cell(self, cell: str) -> tuple[str, ...]:
        text = unicodedata.normalize("NFC", cell).strip()
        # From the end back: in how many ways the rest reads as choices (2 is many), and of the last
        # of them the first choice and where the rest after it begins.
        end = len(text)
        ways = [0] * end
        found: list[tuple[str, int]] = [("", end)] * end
        for start in reversed(range(end)):
            for choice, pattern in self._patterns:
                match = pattern.match(text, start)
                if match is None:
                    continue
                if match.end() == end:
                    ways[start], found[start] = min(2, ways[start] + 1), (choice, end)
                    continue
                separator = _SEPARATOR.match(text, match.end())
                if separator and separator.end() < end and ways[separator.end()]:
                    ways[start] = min(2, ways[start] + ways[separator.end()])
                    found[start] = choice, separator.end()
        if not text or ways[0] != 1:
            return (cell,)
        named, start = [], 0
        while start < end:
            choice, start = found[start]
            named.append(choice)
        return tuple(named) if len(set(named)) == len(named) > 1 else (cell,)


def _pattern(choice: str) -> re.Pattern[str]:
    words = unicodedata.normalize("NFC", choice).split()
    return re.compile(r"\s+".join(map(re.escape, words)))
