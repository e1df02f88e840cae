"""Personal data in a stream's records: which values it is, and what they become.

`personal:` names columns, or paths inside JSON columns, and the kind of what they hold. Values are
replaced before a record is spooled, by the functions that `hotjar.survey_responses` uses, so that
the same address or id has the same hash in every table.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hotjar_assets.config import PiiMode, environment_variable
from hotjar_assets.privacy import Privacy
from hotjar_assets.streams.checks import split_personal
from hotjar_assets.streams.formats import plain_steps
from hotjar_assets.streams.spec import Personal, Source, Stream

_NESTED = 3
"""How many levels of objects and arrays are searched for names of fields."""
_LISTED = 100
"""Most names of fields that are looked at in one object, and items in one array."""
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER_CHARACTERS = re.compile(r"[^a-z0-9]+")
_PEOPLE = "user|customer|visitor|contact|person|member|client|author|respondent|guest|employee"
_PERSONAL_NAME = re.compile(
    rf"(?:.*_)?(?:(?:e_?)?mail|phone|mobile|telephone|fax|ip|ip_?addr|address|street|birthday|dob|ssn)"
    rf"(?:_.*)?|(?:.*_)?(?:date_of_birth|birth_?date|phone_?number)"
    rf"|(?:.*_)?(?:first|last|full|given|family|sur|nick|display|{_PEOPLE})_?names?"
    rf"|name|(?:.*_)?(?:{_PEOPLE})(?:_?(?:id|uuid|key|ref))?"
)


@dataclass(frozen=True)
class Rule:
    """What becomes of one column, or of what a path selects in it.

    Attributes:
        name: As the YAML writes it.
        column: The column.
        steps: Where in its JSON value; empty for all of it.
        kind: What it holds.
        privacy: The mode and the key.
    """

    name: str
    column: str
    steps: tuple[str | int | None, ...]
    kind: str
    privacy: Privacy

    @property
    def mode(self) -> PiiMode:
        """What happens to the values."""
        return self.privacy.mode

    @property
    def effect(self) -> str:
        """What became of the values, for people; kinds that are replaced alike have the same."""
        done = {PiiMode.KEEP: "kept", PiiMode.HASH: "hashed", PiiMode.DROP: "dropped"}[self.mode]
        is_part = self.kind in {"answer", "url"} and self.mode is not PiiMode.KEEP
        return f"{done} as {self.kind}" if is_part else done

    def applied(self, value: Any) -> Any:
        """Return a value of the column with what is personal replaced; nothing twice."""
        if self.mode is PiiMode.KEEP or value is None:
            return value
        return _replaced(value, self.steps, self._changed)

    def stored_type(self, declared: str) -> str:
        """Return the type of the column where its declared type is this: a hash is text."""
        if self.mode is PiiMode.KEEP or (self.mode is PiiMode.DROP and self.kind != "url"):
            return declared
        if declared == "JSON":
            return declared
        return "VARCHAR[]" if declared.endswith("[]") else "VARCHAR"

    def _changed(self, value: Any) -> Any:
        if self.kind == "url":
            return _each(value, self.privacy.url)
        if self.kind == "answer":
            return _each(value, lambda each: self.privacy.answer(each, None, ()))
        return None if self.mode is PiiMode.DROP else _each(value, self.privacy.value)


def rules_of(personal: Mapping[str, Personal], privacy: Privacy) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of a stream by column.

    Args:
        personal: Its `personal`.
        privacy: The mode where `personal` has none, and the key.
    """
    rules: dict[str, tuple[Rule, ...]] = {}
    for name, given in personal.items():
        column, path = split_personal(name)
        own = replace(privacy, mode=PiiMode(given.mode)) if given.mode else privacy
        rule = Rule(name, column, plain_steps(path) or (), given.kind, own)
        rules[column] = (*rules.get(column, ()), rule)
    return rules


def personal_of(source: Source, stream: Stream, mode: PiiMode) -> dict[str, Personal]:
    """Return the `personal` of a stream, with what it inherits.

    A column of `parent.fields` holds what the parent's field does, and is as personal.

    Args:
        source: The source.
        stream: One of its streams.
        mode: The mode where `personal` has none.
    """
    own = dict(stream.personal)
    if stream.parent is None:
        return own
    (parent,) = (each for each in source.streams if each.name == stream.parent.stream)
    above = personal_of(source, parent, mode)
    for column, field in stream.parent.fields.items():
        found = [given for name, given in above.items() if _holds(name, field, parent)]
        if found:
            own.setdefault(column, max(found, key=lambda given: _strictness(given, mode)))
    return own


def _holds(name: str, field: str, parent: Stream) -> bool:
    """Tell whether a name of `personal` selects a field of the parent, all of it or a part."""
    column, path = split_personal(name)
    rename = parent.transform.rename
    if column in {field, rename.get(field, field)}:
        return True
    outer, *inner = field.split(".")
    value: Any = field
    for part in reversed(inner):
        value = {part: value}
    return column == rename.get(outer, outer) and bool(leaves(value, plain_steps(path) or ()))


def _strictness(given: Personal, mode: PiiMode) -> tuple[bool, int]:
    own = PiiMode(given.mode) if given.mode else mode
    is_whole = own is not PiiMode.KEEP and given.kind not in {"answer", "url"}
    return is_whole, [PiiMode.KEEP, PiiMode.HASH, PiiMode.DROP].index(own)


def leaves(value: Any, steps: Sequence[str | int | None]) -> list[Any]:
    """List the single values of what a path selects, those that a rule would replace."""
    found: list[Any] = []
    _replaced(value, steps, lambda selected: _each(selected, found.append))
    return found


def unprotected_fields(source: Source, stream: Stream, found: Iterable[str] = ()) -> list[str]:
    """List the fields that seem personal by their names, of a stream without `personal`.

    What a child inherits from the `personal` of its parent is not among them.

    Args:
        source: The source.
        stream: One of its streams.
        found: Fields of its records, in addition to those that the YAML names.
    """
    if "personal" in stream.model_fields_set:
        return []
    transform, schema = stream.transform, stream.record_schema
    fields = [*(schema.properties if schema else ()), *found]
    kept = (
        name
        for name in fields
        if name.partition(".$")[0] not in transform.drop
        and (transform.keep is None or name.partition(".$")[0] in transform.keep)
    )
    columns = (*(stream.parent.fields if stream.parent else ()), *stream.metadata)
    inherited = personal_of(source, stream, PiiMode.KEEP)
    names = (name for name in dict.fromkeys((*kept, *columns)) if name not in inherited)
    return [name for name in names if _seems_personal(name)]


def unprotected_warning(source: Source, stream: Stream, found: Iterable[str] = ()) -> str | None:
    """Return a warning about `unprotected_fields`; None where there are none."""
    names = unprotected_fields(source, stream, found)
    if not names:
        return None
    return (
        f"{source.name}.{stream.name}: {', '.join(names)} may hold personal data, which "
        f"{environment_variable('pii')} does not reach; name the columns under `personal`, or "
        "write `personal: {}` if there is none"
    )


def field_names(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a record, and those inside of them as `personal` writes them."""
    for name, value in list(record.items())[:_LISTED]:
        yield name
        yield from _inner_names(value, f"{name}.$", _NESTED)


def _inner_names(value: Any, place: str, levels: int) -> Iterator[str]:
    if not levels:
        return
    if isinstance(value, Mapping):
        for name, item in list(value.items())[:_LISTED]:
            inner = (
                f"{place}.{name}" if re.fullmatch(r"[A-Za-z_]\w*", name) else f"{place}[{name!r}]"
            )
            yield inner
            yield from _inner_names(item, inner, levels - 1)
    elif isinstance(value, list):
        for item in value[:_LISTED]:
            yield from _inner_names(item, f"{place}[*]", levels - 1)


def _seems_personal(name: str) -> bool:
    last = re.split(r"[.\[]", name)[-1]
    words = _OTHER_CHARACTERS.sub("_", _CAMEL_CASE.sub("_", last).lower()).strip("_")
    return _PERSONAL_NAME.fullmatch(words) is not None


def _replaced(value: Any, steps: Sequence[str | int | None], change: Callable[[Any], Any]) -> Any:
    """Replace what a path selects; a value that ends before the path does is replaced whole."""
    if value is None:
        return None
    if not steps or not isinstance(value, dict | list):
        return change(value)
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        if isinstance(step, int):
            return change(value)
        changed = {
            name: _replaced(item, rest, change) if step in {None, name} else item
            for name, item in value.items()
        }
        following = next((each for each in rest if each is not None), None)
        # An API that gives a list of objects or one: the path may mean what is in the one.
        is_one = step is None and isinstance(following, str)
        return _replaced(changed, rest, change) if is_one else changed
    if isinstance(step, str):
        # An API that gives one object or a list of them: the path means each.
        return [_replaced(item, steps, change) for item in value]
    only = step if step is None or step >= 0 else len(value) + step
    return [
        _replaced(item, rest, change) if only in {None, place} else item
        for place, item in enumerate(value)
    ]


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Replace each single value of an object or array, and keep its shape."""
    if isinstance(value, dict):
        return {name: _each(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    return change(value)
