"""How a stream's table was made: noted with the table, and compared before it is read again.

A changed key would store rows twice, a changed name or expression would leave old rows with other
columns than new ones, and a changed privacy mode would leave old rows in clear text. Such a change
needs all of the rows again. What only adds a column does not.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from hotjar_assets.config import PiiMode
from hotjar_assets.streams.checks import split_personal
from hotjar_assets.streams.tables import StreamTable

_MARK = "hotjar-assets stream "
"""Begins the comment of a table in which this is noted."""


@dataclass(frozen=True)
class Making:
    """How a table was made.

    Attributes:
        key: Columns that identify a row; none: it is replaced at every run.
        unit: Columns that say whose child a row is.
        flatten: The stream's `flatten`.
        columns: Where each column comes from.
        personal: The stream's `personal`: what each of its columns or paths holds.
        replaced: What became of these, where they were not kept.
        pii_key: Fingerprint of the key that hashed some; "" if none was.
    """

    key: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    flatten: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    pii_key: str = ""

    @classmethod
    def of(cls, table: StreamTable, there: Collection[str]) -> "Making":
        """Return how a stream makes its table, of which some columns are there."""
        rules = [rule for column in table.rules.values() for rule in column]
        hashing = [rule.privacy for rule in rules if rule.mode is PiiMode.HASH]
        return cls(
            key=table.key,
            unit=table.unit,
            flatten=table.stream.flatten,
            columns={
                name: origin for name in there if (origin := table.origin_of(name)) is not None
            },
            personal={rule.name: rule.kind for rule in rules},
            replaced={rule.name: rule.effect for rule in rules if rule.mode is not PiiMode.KEEP},
            pii_key=hashing[0].fingerprint if hashing else "",
        )

    @classmethod
    def parse(cls, comment: str | None) -> "Making | None":
        """Return what the comment of a table notes; None if it notes nothing."""
        if comment is None or not comment.startswith(_MARK):
            return None
        try:
            noted = json.loads(comment.removeprefix(_MARK))
            return cls(
                tuple(noted["key"]),
                tuple(noted["unit"]),
                tuple(noted["flatten"]),
                **{name: noted[name] for name in ("columns", "personal", "replaced", "pii_key")},
            )
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def comment(self) -> str:
        """The text that `parse` reads."""
        return _MARK + json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    def after(self, earlier: "Making | None", there: Collection[str]) -> "Making":
        """Return this with the origins of columns that are there and no longer filled."""
        known = {name: each for name, each in (earlier or self).columns.items() if name in there}
        return replace(self, columns={**known, **self.columns})


def changes(table: StreamTable, noted: Making | None, there: Collection[str]) -> Iterator[str]:
    """Yield what a stream would do to its table that does not fit the rows in it.

    Args:
        table: The stream as it is now.
        noted: How the table was made; None if an earlier release made it.
        there: Its columns.
    """
    wanted = Making.of(table, there)
    if noted is None:
        yield from _unnoted(table, there)
        noted = Making(wanted.key, wanted.unit, wanted.flatten)
    if {*noted.key} != {*wanted.key} or noted.unit != wanted.unit:
        yield f"the key was {_listed(noted.key)} and is now {_listed(wanted.key)}"
    for name in sorted({*noted.flatten} ^ {*wanted.flatten}):
        if any(each == name or each.startswith(f"{name}_") for each in there):
            yield f"{name} {'is now' if name in wanted.flatten else 'was'} under flatten"
    stored = {name: origin for name, origin in noted.columns.items() if name in there}
    yield from _moved(table, replace(noted, columns=stored), wanted)
    yield from _replaced_otherwise(noted, wanted, there)


def _moved(table: StreamTable, noted: Making, wanted: Making) -> Iterator[str]:
    """Yield the columns that are named or filled otherwise."""
    for column, origin in noted.columns.items():
        now, moved_to = wanted.columns.get(column), table.column_from(origin)
        if now is None and moved_to not in {None, column}:
            yield f"the column {column} is now named {moved_to}"
        elif now not in {None, origin}:
            yield f"the column {column} came from {origin} and now comes from {now}"


def _replaced_otherwise(noted: Making, wanted: Making, there: Collection[str]) -> Iterator[str]:
    """Yield what becomes of personal data now and did not before, or the other way round."""
    for name in sorted(noted.replaced.keys() | wanted.replaced.keys()):
        was, now = noted.replaced.get(name, "kept"), wanted.replaced.get(name, "kept")
        if was != now and split_personal(name)[0] in there:
            yield f"the personal data in {name} was {was} and is now {now}"
    if noted.pii_key and wanted.pii_key not in {"", noted.pii_key}:
        yield "HOTJAR_PII_KEY is another"


def _unnoted(table: StreamTable, there: Collection[str]) -> Iterator[str]:
    """Yield what does not fit a table of which is only known what columns it has."""
    for column in table.key:
        if column not in there:
            yield f"the table has no column {column}, which is of the key"
    for name, column in table.stream.transform.rename.items():
        if name in there and column not in there and table.origin_of(name) is None:
            yield f"the column {name} is now named {column}"


def _listed(names: Collection[str]) -> str:
    return f"({', '.join(names)})" if names else "none"
