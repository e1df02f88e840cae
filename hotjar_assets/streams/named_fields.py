"""Fields that the YAML of a stream names, checked against the records that come.

A schema tells before any request whether a field exists. Without one, a misspelled name has no
effect at all, so a read of a stream and its preview both warn of names that no record has. They
also warn of a `primary_key` that records which differ have in common.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any

from hotjar_assets.did_you_mean import meant
from hotjar_assets.printable import get_logger
from hotjar_assets.streams.checks import split_personal
from hotjar_assets.streams.formats import plain_steps
from hotjar_assets.streams.personal import field_names, leaves
from hotjar_assets.streams.spec import Stream

logger = get_logger(__name__)

_MAX_FIELDS = 1000
"""Most names of fields that are kept to suggest one."""


class NamedFields:
    """Notes which of the fields that a stream names its records have; safe under threads.

    Args:
        source: The name of the source.
        stream: One of its streams.
    """

    def __init__(self, source: str, stream: Stream) -> None:
        self._name = f"{source}.{stream.name}"
        self._lock = threading.Lock()
        transform, around = stream.transform, stream.parent.fields if stream.parent else {}
        field_of = {column: name for name, column in transform.rename.items()}
        schema = stream.record_schema
        # A field of the schema may be missing wherever it is not required.
        columns = {
            transform.rename.get(name, name) for name in (schema.properties if schema else ())
        }
        columns |= {*transform.constant, *transform.computed}
        # What is computed is not known yet; the other columns are the same in all of an answer.
        key = {*stream.primary_key}
        self._is_keyed = bool(key) and key.isdisjoint(transform.computed)
        key -= {*stream.metadata, *transform.constant, *around}
        self._key = [field_of.get(name, name) for name in sorted(key)]
        self._unlike = 0
        personal = dict.fromkeys(split_personal(name)[0] for name in stream.personal)
        named = [
            *(("transform.keep", name) for name in transform.keep or ()),
            *(("transform.drop", name) for name in transform.drop),
            *(("transform.rename", name) for name in transform.rename),
            *(("incremental.cursor", each.cursor) for each in (stream.incremental,) if each),
            *(("personal", field_of.get(each, each)) for each in personal if each not in columns),
        ]
        self._missing = [each for each in named if each[1] not in {*stream.metadata, *around}]
        self._missing_inside = {
            name: (field_of.get(column, column), plain_steps(path) or ())
            for name in stream.personal
            for column, path in (split_personal(name),)
            if path != "$" and column not in {*stream.metadata, *around}
        }
        self._inside: dict[str, list[str]] = {}
        self._flatten = set(stream.flatten)
        self._fields: set[str] = set()
        self._unanswered: dict[str, tuple[str, str]] | None = None

    def see(
        self,
        records: Collection[Mapping[str, Any]],
        flattened: Collection[str],
        unanswered: Mapping[str, tuple[str, str]],
    ) -> None:
        """Note the fields of some records.

        Args:
            records: The records, after `flatten`.
            flattened: The fields that `flatten` replaced by their own.
            unanswered: What `pagination` names and their answer lacks, and what it may mean.
        """
        with self._lock:
            known = unanswered if self._unanswered is None else self._unanswered
            self._unanswered = {
                place: known[place] if known[place][1] else unanswered[place]
                for place in known
                if place in unanswered
            }
            self._flatten.difference_update(flattened)
            self._see_keys(records)
            is_missing = self._missing or self._flatten or self._missing_inside
            for record in records if is_missing else ():
                self._missing = [each for each in self._missing if each[1] not in record]
                self._see_inside(record)
                if len(self._fields) < _MAX_FIELDS:
                    self._fields.update(record)

    def _see_keys(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Count the records of one answer that share their key with another and differ from it."""
        by_key: dict[str, Mapping[str, Any]] = {}
        for record in records if self._is_keyed else ():
            key = repr([record.get(name) for name in self._key])
            self._unlike += by_key.setdefault(key, record) != record

    def _see_inside(self, record: Mapping[str, Any]) -> None:
        for name, (field, steps) in list(self._missing_inside.items()):
            value = record.get(field)
            if leaves(value, steps):
                del self._missing_inside[name]
            elif value and isinstance(value, dict | list) and name not in self._inside:
                inner = islice(field_names({split_personal(name)[0]: value}), 1, _MAX_FIELDS)
                self._inside[name] = list(inner)

    def warn(self) -> None:
        """Warn of each name that no record or answer had; without one, nothing is known."""
        with self._lock:
            for place, (name, hint) in (self._unanswered or {}).items():
                if hint:
                    logger.warning(
                        "%s: no answer has %s, which `%s` names, so that pages may be missing; %s",
                        self._name,
                        name,
                        place,
                        hint,
                    )
            if self._unlike:
                logger.warning(
                    "%s: records of one answer differ and have the same `primary_key`, so that "
                    "only the last of each is kept (%s lost); check whether it needs another field",
                    self._name,
                    self._unlike,
                )
            missing = [*self._missing, *(("flatten", name) for name in sorted(self._flatten))]
            for place, name in missing if self._fields else ():
                what = "an object" if place == "flatten" else "a field"
                effect = "; all is read every time" if place == "incremental.cursor" else ""
                hint = meant(name, self._fields)
                logger.warning(
                    "%s: no record has %s %s, which `%s` names%s%s",
                    self._name,
                    what,
                    name,
                    place,
                    effect,
                    f"; {hint}" if hint else "",
                )
            for name in self._inside.keys() & self._missing_inside.keys():
                hint = meant(name, self._inside[name])
                logger.warning(
                    "%s: no record has a value at %s, which `personal` names%s",
                    self._name,
                    name,
                    f"; {hint}" if hint else "",
                )
