"""The partitions of `hotjar/survey_responses`, and how a run names some of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby

import dagster as dg

_held: ContextVar[dict[dg.PartitionKeyRange, Sequence[str]] | None] = ContextVar(
    "_held", default=None
)


class DynamicPartitionsDefinition(dg.DynamicPartitionsDefinition):
    """Dagster's, and of its name, which Dagster stores: but able to hold the keys of a range.

    `context.add_asset_metadata(partition_key=…)` asks the event log for all keys at every call,
    which for 500 partitions takes longer than to read them from the API.
    """

    @contextmanager
    def held(self) -> Iterator[None]:
        """Ask for the keys of a range once, for as long as this lasts."""
        token = _held.set({})
        try:
            yield
        finally:
            _held.reset(token)

    def get_partition_keys_in_range(
        self, partition_key_range: dg.PartitionKeyRange
    ) -> Sequence[str]:
        """List the keys from the first to the last of a range, in Dagster's order."""
        held = _held.get()
        if held is None:
            return super().get_partition_keys_in_range(partition_key_range)
        if partition_key_range not in held:
            held[partition_key_range] = super().get_partition_keys_in_range(partition_key_range)
        return held[partition_key_range]


survey_partitions = DynamicPartitionsDefinition(name="survey_id")

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def add_surveys(instance: dg.DagsterInstance, survey_ids: Iterable[str]) -> list[str]:
    """Add a partition for each survey that has none; return the added keys, sorted."""
    known = set(known_surveys(instance))
    unknown = sorted(set(survey_ids) - known)
    if unknown:
        instance.add_dynamic_partitions(str(survey_partitions.name), unknown)
    return unknown


def known_surveys(instance: dg.DagsterInstance) -> Sequence[str]:
    """List the partition keys in Dagster's order, the order in which they were added."""
    return instance.get_dynamic_partitions(str(survey_partitions.name))


def range_tags(ordered: Sequence[str], wanted: Collection[str]) -> Iterator[dict[str, str]]:
    """Yield the tags of as few runs as cover exactly the wanted partitions.

    A run covers a contiguous range of the ordered keys.
    """
    for is_wanted, keys in groupby(ordered, key=set(wanted).__contains__):
        if is_wanted:
            covered = list(keys)
            yield {RANGE_START: covered[0], RANGE_END: covered[-1]}
