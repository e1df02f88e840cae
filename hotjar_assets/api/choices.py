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
        return self._read(cell) if len(cell) <= self._longest else (cell,)

    def _read_cell(self, cell: str) -> tuple[str, ...]:
        text = unicodedata.normalize("NFC", cell).strip()
        # From the end back: in how many ways the rest reads as choices, and the first of them.
        ways = [0] * len(text)
        found: list[tuple[str, ...]] = [()] * len(text)
        for start in reversed(range(len(text))):
            for choice, pattern in self._patterns:
                match = pattern.match(text, start)
                if match is None:
                    continue
                if match.end() == len(text):
                    ways[start], found[start] = ways[start] + 1, (choice,)
                    continue
                separator = _SEPARATOR.match(text, match.end())
                if separator and separator.end() < len(text) and ways[separator.end()]:
                    ways[start] += ways[separator.end()]
                    found[start] = (choice, *found[separator.end()])
        named = found[0] if text and ways[0] == 1 else ()
        return named if len(set(named)) == len(named) > 1 else (cell,)


def _pattern(choice: str) -> re.Pattern[str]:
    words = unicodedata.normalize("NFC", choice).split()
    return re.compile(r"\s+".join(map(re.escape, words)))
