"""Surveys as people give them on the command line: by id, or by name."""

import difflib
import heapq
import unicodedata
from collections.abc import Iterable, Mapping

from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.printable import counted, labelled

_NEAREST = 3
_MAX_CHARACTERS = 100
"""Characters of a name that are compared: the effort is the product of two lengths."""
_LIKENESS_OF_A_SLIP = 0.7
_LIKENESS_OF_A_HINT = 0.5
_MAX_SHOWN = 10


def resolve_surveys(wanted: Iterable[str], names: Mapping[str, str], *, where: str) -> list[str]:
    """Return the ids of surveys that are given by id or by name, each once.

    Args:
        wanted: Ids, or names; upper case and the number of blanks make no difference.
        names: The name of each survey that can be meant, by id.
        where: What has these surveys, for the error.

    Raises:
        HotjarConfigError: A survey is unknown, or several have its name; lists those it may be.
    """
    found, problems = [], []
    for given in dict.fromkeys(wanted):
        same = [given] if given in names else _named(given, names)
        if len(same) == 1:
            found += same
        elif same:
            shown = _labels(same[:_MAX_SHOWN], names) + (", …" if same[_MAX_SHOWN:] else "")
            several = counted(len(same), "survey")
            problems.append(f"{given!r} is the name of {several}: {shown}; give the id")
        else:
            near = _labels(_most_alike(given, names), names)
            problem = f"{where} has no survey with the id or name {given!r}"
            hint = f"nearest: {near}" if near else "`hotjar-assets surveys` lists those stored"
            problems.append(f"{problem}; {hint}")
    if problems:
        raise HotjarConfigError("--survey", "; ".join(problems))
    return list(dict.fromkeys(found))


def is_like_a_name(text: str, names: Mapping[str, str]) -> bool:
    """Tell whether a text is probably the misspelled name of a survey."""
    return any(_likeness(text, name) >= _LIKENESS_OF_A_SLIP for name in names.values())


def _named(name: str, names: Mapping[str, str]) -> list[str]:
    folded = _folded(name)
    return [survey_id for survey_id, each in names.items() if each and _folded(each) == folded]


def _most_alike(given: str, names: Mapping[str, str]) -> list[str]:
    def likeness(survey_id: str) -> float:
        return max(_likeness(given, survey_id), _likeness(given, names[survey_id]))

    near = [survey_id for survey_id in names if likeness(survey_id) >= _LIKENESS_OF_A_HINT]
    return heapq.nlargest(_NEAREST, near, key=likeness)


def _likeness(one: str, other: str) -> float:
    first, second = (_folded(each)[:_MAX_CHARACTERS] for each in (one, other))
    return difflib.SequenceMatcher(a=first, b=second).ratio()


def _folded(name: str) -> str:
    # An accent may be a character of its own.
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def _labels(survey_ids: Iterable[str], names: Mapping[str, str]) -> str:
    return ", ".join(labelled(survey_id, names[survey_id]) for survey_id in survey_ids)
