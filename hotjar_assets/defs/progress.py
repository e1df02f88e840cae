"""How far the partitions of `hotjar/survey_responses` are, by what Dagster recorded.

Dagster's own freshness is that of a whole asset, and one survey that stays behind is no news to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from hotjar_assets.defs.assets import survey_responses
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START, survey_partitions

_RECORDS_AT_ONCE = 1000


@dataclass(frozen=True)
class Progress:
    """How far one partition is.

    Attributes:
        read_at: When it was materialized last; None if it never was.
        figures: What that run did.
        has_failed: Whether a later run failed.
        is_in_progress: Whether a run is at it.
    """

    read_at: datetime | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    has_failed: bool = False
    is_in_progress: bool = False

    def why_behind(self, now: datetime, late_after: timedelta) -> str | None:
        """Say why it is behind; None if it is not."""
        if self.has_failed:
            return "its last run failed"
        if self.read_at is None:
            return None if self.is_in_progress else "never read"
        return f"read on {self.read_at:%Y-%m-%d}" if now - self.read_at > late_after else None


def not_read_by(
    run: dg.DagsterRun, instance: dg.DagsterInstance, keys: Sequence[str]
) -> Sequence[str]:
    """Leave out of all partitions those that a run over a range has just read.

    They are known without asking for each, which for 500 takes longer than all the checks do.
    """
    page = instance.fetch_materializations(survey_responses.key, limit=1)
    covered = [run.tags.get(RANGE_START), run.tags.get(RANGE_END)]
    if not (set(covered) <= set(keys) and run.run_id in {each.run_id for each in page.records}):
        return keys
    first, last = map(keys.index, covered)
    return [*keys[:first], *keys[last + 1 :]]


def progress_of(instance: dg.DagsterInstance, keys: Sequence[str]) -> dict[str, Progress]:
    """Tell how far partitions are, in their order."""
    if not keys:
        return {}
    statuses = instance.get_status_by_partition(survey_responses.key, keys, survey_partitions) or {}
    newest = _newest(instance, keys)
    progress = {}
    for key in keys:
        record, status = newest.get(key), statuses.get(key)
        materialization = record.asset_materialization if record else None
        progress[key] = Progress(
            datetime.fromtimestamp(record.timestamp, UTC) if record else None,
            {name: each.value for name, each in materialization.metadata.items()}
            if materialization
            else {},
            has_failed=bool(status and status.value == "FAILED"),
            is_in_progress=bool(status and status.value == "IN_PROGRESS"),
        )
    return progress


def _newest(instance: dg.DagsterInstance, keys: Sequence[str]) -> dict[str, dg.EventLogRecord]:
    """Map partitions to their newest materialization."""
    wanted, found = set(keys), dict[str, dg.EventLogRecord]()
    cursor, has_more = None, True
    # Nearly always, the last run was over all of them. To ask for one takes as long as for 20.
    while has_more and len(found) < len(wanted):
        page = instance.fetch_materializations(
            survey_responses.key, limit=min(len(wanted), _RECORDS_AT_ONCE), cursor=cursor
        )
        newest = {str(record.partition_key): record for record in reversed(page.records)}
        brought = {key: newest[key] for key in newest.keys() & wanted - found.keys()}
        found |= brought
        cursor, has_more = page.cursor, page.has_more and bool(brought)
    for key in wanted - found.keys():
        of_key = dg.AssetRecordsFilter(survey_responses.key, asset_partitions=[key])
        for record in instance.fetch_materializations(of_key, limit=1).records:
            found[key] = record
    return found
