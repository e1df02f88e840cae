"""The partitions of `hotjar/survey_responses`, and how a run names some of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby

import dagster as dg

survey_partitions = dg.DynamicPartitionsDefinition(name="survey_id")

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
