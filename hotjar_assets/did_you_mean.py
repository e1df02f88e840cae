"""The known names that are closest to a misspelled one."""

import difflib
from collections.abc import Iterable

_SHORTEST, _LONGEST = 3, 100
"""Letters of the shortest abbreviation, and of the longest word that is compared."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant; None if no name is close."""
    if len(word) > _LONGEST:
        # Comparing takes the product of two lengths, and no name is like it anyway.
        return None
    candidates = {name.lower(): name for name in known}
    given = word.lower()
    close = difflib.get_close_matches(given, candidates, n=1)
    if len(given) >= _SHORTEST:
        close += [each for each in candidates if each.startswith(given) or given.startswith(each)]
    return candidates[close[0]] if close else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return `did you mean …?` if a known word is close; else an empty text."""
    name = nearest(word, known)
    return f"did you mean `{name}`?" if name else ""
