"""From a stream to a table that the warehouse understands, and from its records to spooled lines.

No I/O and no database. The columns of a table are, in this order: those that name the parent, the
fields of the record (declared, then found), the metadata, the constants, the computed ones, and
`synced_at`.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from hotjar_assets.api.limits import DEFAULT_LIMITS, too_many_columns
from hotjar_assets.config import PiiMode, environment_variable
from hotjar_assets.errors import HotjarConfigError, HotjarLimitError, HotjarSchemaError
from hotjar_assets.privacy import Privacy
from hotjar_assets.schema import Column, Table
from hotjar_assets.spool import SEGMENT_BYTES
from hotjar_assets.streams.checks import needed_of_parent, reserved, split_personal
from hotjar_assets.streams.columns import (
    LONG,
    UNKNOWN,
    UnfitError,
    declared_type,
    fit,
    found_type,
    wider_type,
)
from hotjar_assets.streams.personal import Rule, personal_of, rules_of
from hotjar_assets.streams.spec import Personal, Source, Stream
from hotjar_assets.streams.templates import as_text

_SYNCED_AT = "synced_at"
ORDINAL = "hotjar_assets:ordinal"
_NAME_SHOWN = 60
_FIELD = "the field "
_WORD = re.compile(r"\w+")
_NAMES_REMEMBERED = 10_000
MAX_REPEATED_BYTES = 64 * 1024
"""Longest values of the parent and of the root of an answer: they stand in every row."""


@dataclass(frozen=True)
class StreamTable:
    """How one stream is stored.

    Attributes:
        schema: Schema of the table, the source's name.
        stream: The stream.
        max_columns: Columns that the table may have.
        personal: The stream's `personal`, and what it inherits from its parent.
        privacy: What becomes of personal values where `personal` gives no mode.
    """

    schema: str
    stream: Stream
    max_columns: int = DEFAULT_LIMITS.columns
    personal: Mapping[str, Personal] = field(default_factory=dict)
    privacy: Privacy = field(default_factory=Privacy)

    @classmethod
    def of(cls, source: Source, name: str, privacy: Privacy = Privacy()) -> "StreamTable":  # noqa: B008 - frozen
        """Return the table of a stream."""
        (stream,) = (each for each in source.streams if each.name == name)
        personal = personal_of(source, stream, privacy.mode)
        return cls(source.name, stream, personal=personal, privacy=privacy)

    @cached_property
    def rules(self) -> Mapping[str, tuple[Rule, ...]]:
        """What becomes of personal values, by column."""
        return rules_of(self.personal, self.privacy)

    def check_personal(self) -> None:
        """Make sure that personal values can become what they should, before anything is read.

        Raises:
            HotjarConfigError: There is no key to hash with; or the mode takes away what identifies
                a row or tells what is new.
        """
        name = f"{self.schema}.{self.name}"
        for rule in (each for column in self.rules.values() for each in column):
            problem = ""
            if rule.mode is PiiMode.HASH and not self.privacy.key:
                raise HotjarConfigError(
                    environment_variable("pii_key"),
                    f"is not set; {name} hashes {rule.name} (see its `personal`) and needs it "
                    "(16 characters or more, kept safe)",
                )
            if rule.mode is PiiMode.DROP and rule.column in {*self.key, *self.unit}:
                problem = "it is of the key, without which rows have no identity; hash or keep it"
            elif rule.mode is not PiiMode.KEEP and rule.column == self.cursor:
                problem = "it tells what is new (incremental.cursor); keep it"
            if problem:
                why = f"{environment_variable('pii')}={rule.mode.value} would {rule.mode.value}"
                advice = f"under `personal`, write {{kind: {rule.kind}, mode: …}}"
                raise HotjarConfigError(name, f"{why} {rule.name}: {problem} ({advice})")

    @property
    def in_clear(self) -> "StreamTable":
        """The table without what becomes of personal values: requests need them as they are."""
        return replace(self, personal={})

    def protect(self, column: str, value: Any) -> Any:
        """Return a value with what is personal replaced; what was replaced stays as it is."""
        for rule in self.rules.get(column, ()):
            value = rule.applied(value)
        return value

    def replaces_any(self, fields: Iterable[str]) -> bool:
        """Tell whether the table lacks the clear text of a field that children are asked for by."""
        columns = {self.stored_column(name) for name in fields}
        return any(
            rule.mode is not PiiMode.KEEP
            for column in columns
            for rule in self.rules.get(column or "", ())
        )

    def is_personal(self, column: str) -> bool:
        """Tell whether a column is declared as personal, or computed from one that is."""
        names = {split_personal(name)[0] for name in self.personal}
        computed = self.stream.transform.computed.get(column)
        words = set(_WORD.findall(computed.sql)) if computed else {column}
        return not names.isdisjoint(words)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.stream.name

    @property
    def inherited(self) -> tuple[str, ...]:
        """Columns that hold fields of the parent."""
        return tuple(self.stream.parent.fields) if self.stream.parent else ()

    @property
    def unit(self) -> tuple[str, ...]:
        """Columns that say whose child a row is.

        Those in the primary key, else those that the request is made of, else all: a title of the
        parent that is kept beside its id may change.
        """
        fields = self.stream.parent.fields if self.stream.parent else {}
        requested = {
            field
            for place, field in needed_of_parent(self.stream)
            if place[0] not in {"parent", "incremental"}
        }
        in_key = tuple(column for column in fields if column in self.stream.primary_key)
        in_request = tuple(column for column, name in fields.items() if name in requested)
        return in_key or in_request or tuple(fields)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row: a child's own are unique only for one parent."""
        own = self.stream.primary_key
        return tuple(dict.fromkeys((*self.unit, *own))) if own else ()

    @property
    def cursor(self) -> str | None:
        """Column of the incremental field."""
        given = self.stream.incremental
        return self.stream.transform.rename.get(given.cursor, given.cursor) if given else None

    @property
    def declared(self) -> dict[str, str]:
        """Types of the declared fields, by column."""
        schema = self.stream.record_schema
        if schema is None:
            return {}
        named = ((self.column_of(name), kind) for name, kind in schema.properties.items())
        return {column: declared_type(kind) for column, kind in named if column}

    @property
    def metadata(self) -> tuple[str, ...]:
        """Columns from the root of the answer."""
        return tuple(self.stream.metadata)

    def column_of(self, name: str) -> str | None:
        """Return the column that holds a field of the record; None if the transform drops it."""
        transform = self.stream.transform
        if name in transform.drop or (transform.keep is not None and name not in transform.keep):
            return None
        return transform.rename.get(name, name)

    def origin_of(self, column: str) -> str | None:
        """Say what fills a column; None if nothing does."""
        stream = self.stream
        if column in stream.transform.computed:
            return f"the expression {stream.transform.computed[column].sql}"
        if column in stream.transform.constant:
            return f"the constant {json.dumps(stream.transform.constant[column])}"
        if column in self.metadata:
            return f"the path {stream.metadata[column]}"
        if stream.parent and column in stream.parent.fields:
            return f"the parent's field {stream.parent.fields[column]}"
        renamed = (name for name, new in stream.transform.rename.items() if new == column)
        name = next(renamed, column)
        return f"{_FIELD}{name}" if self.column_of(name) == column else None

    def column_from(self, origin: str) -> str | None:
        """Return the column that a field of the record, as `origin_of` names it, is in now."""
        if not origin.startswith(_FIELD):
            return None
        return self.column_of(origin.removeprefix(_FIELD))

    def table(
        self,
        found: Mapping[str, str] | None = None,
        there: Mapping[str, str] | None = None,
        *,
        foreign: Collection[str] = (),
    ) -> Table:
        """Declare the table.

        Args:
            found: Types of the values that were met in columns without a declared type.
            there: Types of the columns that the table has already.
            foreign: Those of them that are not ours: they keep their values.
        """
        stored = dict(there or {})
        found = dict(found or {})
        for column in [*self.inherited, *self.metadata]:
            found.setdefault(column, UNKNOWN)
        types = {
            column: wider_type(stored.get(column, UNKNOWN), kind) for column, kind in found.items()
        }
        declared = {name: self._stored_type(name, kind) for name, kind in self.declared.items()}
        record = {**types, **declared}
        constants = self.stream.transform.constant
        record |= {name: found_type(value) for name, value in constants.items()}
        own = {*self.known_columns, _SYNCED_AT}
        if self.stream.unknown_fields == "evolve":
            # A column that no record of this time has is null in what they replace. One that the
            # stream leaves out keeps its values.
            absent = {
                name: kind
                for name, kind in stored.items()
                if name not in {*own, *foreign} and self.origin_of(name) is not None
            }
            record = {**absent, **record}
        names = [*declared, *(name for name in record if name not in declared)]
        order = [
            *self.inherited,
            *(name for name in names if name not in own),
            *self.metadata,
            *constants,
        ]
        # No value was ever met, so there is no type yet; the key's must be there to be compared.
        always = {*self.unit, *self.stream.primary_key}
        columns = [
            Column(
                name,
                _known(record[name]),
                self._described(name),
                _quoted(name),
                is_personal=self.is_personal(name),
            )
            for name in order
            if record[name] != UNKNOWN or name in always
            if name not in self.stream.transform.computed
        ]
        computed = [
            Column(
                name,
                each.type,
                f"Computed: {each.sql}",
                f"CAST(({each.sql}\n) AS {each.type})",
                is_personal=self.is_personal(name),
            )
            for name, each in self.stream.transform.computed.items()
        ]
        synced_at = Column(_SYNCED_AT, "TIMESTAMPTZ", "When the row was last written here.")
        return Table(
            name=self.name,
            key=self.key,
            record={ORDINAL: "BIGINT"} | {name: _known(kind) for name, kind in record.items()},
            columns=(*columns, *computed, synced_at),
            schema=self.schema,
            unit=self.unit,
            unsure=tuple(name for name in self.key if name in self.stream.transform.computed),
        )

    def _stored_type(self, column: str, declared: str) -> str:
        for rule in self.rules.get(column, ()):
            declared = rule.stored_type(declared)
        return declared

    def _described(self, column: str) -> str:
        parent, schema = self.stream.parent, self.stream.record_schema
        if parent and column in parent.fields:
            return f"{parent.fields[column]} of {parent.stream}, whose row this is."
        if column in self.metadata:
            return f"{self.stream.metadata[column]} of the answer."
        if column in self.stream.transform.constant:
            return "The same in every row."
        for name, given in (schema.properties if schema else {}).items():
            if self.column_of(name) == column:
                return str(given.get("description", ""))
        return ""

    @property
    def segment_bytes(self) -> int:
        """Memory of rows that are stored at once: what is computed may be longer than they are."""
        return SEGMENT_BYTES // 4 if self.stream.transform.computed else SEGMENT_BYTES

    def check_columns(self, columns: int) -> None:
        """Refuse a table that would have too many columns.

        Raises:
            HotjarLimitError: More than `HOTJAR_MAX_COLUMNS`.
        """
        if columns > self.max_columns:
            advice = "leave some out with `keep` or `drop`, or set `unknown_fields`"
            place = f"{self.schema}.{self.name}"
            raise too_many_columns(place, columns, self.max_columns, advice)

    def stored_column(self, name: str) -> str | None:
        """Return the column that holds what the parent of another stream is asked for."""
        return name if name in self.known_columns else self.column_of(name.partition(".")[0])

    @property
    def known_columns(self) -> set[str]:
        """Columns that are there whatever the records hold."""
        transform = self.stream.transform
        return {*self.inherited, *self.metadata, *transform.constant, *transform.computed}


def parent_fields(stream: Stream) -> tuple[str, ...]:
    """List the fields of the parent's records that a stream's requests and rows need."""
    return tuple(sorted({field for _, field in needed_of_parent(stream)}))


@dataclass
class RecordLines:
    """Turns the records of one walk into spooled lines, and remembers the types it met.

    Attributes:
        table: Where they will be stored.
        parent: Values of the columns that name the parent, personal ones replaced or not.
        found: Types met in columns that are not declared.
    """

    table: StreamTable
    parent: Mapping[str, Any] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)
    _fields: dict[str, "_Field"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._declared = self.table.declared
        self.table.check_personal()
        computed = self.table.stream.transform.computed
        self._key = [name for name in self.table.key if name not in computed]
        self.parent = {
            column: self.table.protect(column, value) for column, value in self.parent.items()
        }
        for column, value in self.parent.items():
            self._find(column, value)
        own = (*self.table.known_columns, _SYNCED_AT)
        self._spelled = {name.lower(): name for name in (*own, *self._declared)}
        self.table.check_columns(len(self._spelled))

    def encode(
        self, records: Iterable[Mapping[str, Any]], ordinal: int, metadata: Mapping[str, Any]
    ) -> bytes:
        """Return JSON lines, one for each record, and note what types they hold.

        Args:
            records: The records of a page.
            ordinal: Number of its first record in the walk, from 0.
            metadata: Values from the root of the page.

        Raises:
            HotjarSchemaError: A value does not fit the declared type of its column, or a field
                cannot be stored; names stream, column and row.
        """
        protect = self.table.protect
        metadata = {name: protect(name, value) for name, value in metadata.items()}
        for name, value in metadata.items():
            self._find(name, value)
        around = {**self.parent, **metadata, **self.table.stream.transform.constant}
        if len(json.dumps(around, default=str)) > MAX_REPEATED_BYTES:
            place, limit = f"{self.table.schema}.{self.table.name}", MAX_REPEATED_BYTES
            problem = "the values of the parent and of `metadata`, which every row holds, are long"
            raise HotjarLimitError(place, problem, limit=f"{limit // 1024} KiB")
        lines = []
        for number, record in enumerate(records, ordinal):
            row: dict[str, Any] = {}
            for name, value in record.items():
                target = self._fields.get(name) or self._know(name, number)
                if target.column is None:
                    continue
                if target.column in row:
                    problem = f"the field {name[:_NAME_SHOWN]!r} cannot have a column beside "
                    problem += "another of this name; rename or drop one of them in transform"
                    raise self._error(number, problem, target.column)
                row[target.column] = self._value(target, value, number)
            row |= around
            row[ORDINAL] = number
            for name in self._key:
                if row.get(name) is None:
                    problem = (
                        "has no value and is of the primary key; take another key"
                        if name in row
                        else "is of the primary key and no field of the record; check `primary_key`"
                        " and `records`"
                    )
                    raise self._error(number, problem, name)
            try:
                lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False).encode())
            except ValueError:
                raise self._error(number, "holds a number that is not finite") from None
        return b"\n".join([*lines, b""])

    def _value(self, target: "_Field", value: Any, number: int) -> Any:
        column = str(target.column)
        if target.same_as is not None:
            value = self.table.protect(column, value)
            if value is not None and as_text(value) != target.same_as:
                raise self._error(
                    number,
                    "is a field of the record too and differs from the parent's; name the column "
                    "of parent.fields otherwise",
                    target.column,
                )
            return value
        if target.kind is not None:
            try:
                # What is hashed is the value as the column would hold it: 7, whether 7 or "7" came.
                value = fit(value, target.kind)
            except UnfitError as error:
                raise self._error(number, str(error), target.column) from None
        value = self.table.protect(column, value)
        if target.kind is None:
            self._find(column, value)
        return value

    def _find(self, column: str, value: Any) -> None:
        known = self.found.get(column, UNKNOWN)
        kind = found_type(value)
        if kind != known:
            self.found[column] = wider_type(known, kind)

    def _know(self, name: str, number: int) -> "_Field":
        """Decide what becomes of a field met for the first time."""
        column = self.table.column_of(name)
        if column is not None:
            self._refuse_name(column, number)
            if self._is_unknown(column):
                unknown_fields = self.table.stream.unknown_fields
                if unknown_fields == "freeze":
                    problem = (
                        f"the field {name!r} is not in the schema (unknown_fields: freeze); add it"
                    )
                    raise self._error(number, problem)
                if unknown_fields == "discard":
                    column = None
        if column is None:
            found = _Field(None, None, None)
            # There may be any number of names that are not stored.
            if len(self._fields) < _NAMES_REMEMBERED:
                self._fields[name] = found
            return found
        same_as = str(self.parent[column]) if column in self.parent else None
        self._fields[name] = found = _Field(column, self._declared.get(column), same_as)
        self._spelled.setdefault(column.lower(), column)
        self.table.check_columns(len(self._spelled))
        if column not in self._declared:
            self.found.setdefault(column, UNKNOWN)
        return found

    def _is_unknown(self, column: str) -> bool:
        is_known = column in self._declared or column in self.table.known_columns
        return self.table.stream.record_schema is not None and not is_known

    def _refuse_name(self, column: str, number: int) -> None:
        """Refuse a field that cannot be a column of this name."""
        if column == "":
            raise self._error(
                number, "a field without a name cannot be a column; drop or rename it"
            )
        if reason := reserved(column):
            raise self._error(number, f"the field {column[:_NAME_SHOWN]!r} {reason}")
        spelled = self._spelled.get(column.lower(), column)
        if spelled != column or column in self.table.metadata:
            problem = (
                f"the field {column!r} cannot have a column beside {spelled!r}; rename or drop "
                "it in transform"
            )
            raise self._error(number, problem)

    def _error(self, number: int, problem: str, column: str | None = None) -> HotjarSchemaError:
        place = f"{self.table.schema}.{self.table.name}, row {number + 1}"
        return HotjarSchemaError(f"{place}, column {column}" if column else place, problem)


@dataclass(frozen=True)
class _Field:
    """What becomes of a field.

    Attributes:
        column: Its column; None to leave it out.
        kind: The declared type.
        same_as: The parent's value in the same column, as text.
    """

    column: str | None
    kind: str | None
    same_as: str | None


def _known(kind: str) -> str:
    return {UNKNOWN: "JSON", LONG: "BIGINT"}.get(kind, kind)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
