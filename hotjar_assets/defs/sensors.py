"""`new_surveys_sensor`: a partition and a first run for every survey Hotjar lists.

`plan_tick` decides, and is pure; the sensor reads, plans and returns. A failed listing raises, so
that it never looks like an account without surveys.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import dagster as dg
import msgspec

from hotjar_assets.defs.abandoned import fail_abandoned_runs
from hotjar_assets.defs.assets import survey_responses
from hotjar_assets.defs.jobs import run_config, sync_job
from hotjar_assets.defs.partitions import known_surveys, range_tags, survey_partitions
from hotjar_assets.printable import counted
from hotjar_assets.resources import HotjarResource, as_failure
from hotjar_assets.sync import Depth

CURSOR_VERSION = 1
MOST_PER_TICK = 500
"""Surveys requested by one tick; the rest follow at the next ones."""
FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(days=1)
"""A survey that stays without data is asked for again after pauses that double between these."""


class Request(msgspec.Struct, frozen=True):
    """What was asked for a survey that has no data yet: how often, and last when."""

    attempts: int
    at: Annotated[datetime, msgspec.Meta(tz=True)]

    def is_due(self, now: datetime) -> bool:
        """Tell whether the pause after the last request is over."""
        doubled: timedelta = FIRST_PAUSE * 2 ** min(self.attempts - 1, 20)
        return now >= self.at + min(doubled, LONGEST_PAUSE)


class TickCursor(msgspec.Struct, frozen=True):
    """The sensor's own state: requests whose data has not arrived. Not a cursor of the API."""

    version: int = CURSOR_VERSION
    requested: dict[str, Request] = {}

    @classmethod
    def from_json(cls, text: str | None) -> "TickCursor":
        """Read a cursor; one that is lost, damaged or of another version starts anew."""
        try:
            cursor = msgspec.json.decode(text or "{}", type=cls)
        except msgspec.MsgspecError:
            return cls()
        return cursor if cursor.version == CURSOR_VERSION else cls()

    def to_json(self) -> str:
        """Write it."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True)
class Tick:
    """What one tick does.

    Attributes:
        add: Partitions to add.
        request: Partitions to run, those just added included.
        next_cursor: The state after it.
        waiting: Surveys without data whose pause is not over, or that are left for the next tick.
    """

    add: list[str]
    request: list[str]
    next_cursor: TickCursor
    waiting: int


def plan_tick(
    remote_ids: Collection[str],
    known_ids: Collection[str],
    settled_ids: Collection[str],
    tick_cursor: TickCursor,
    *,
    now: datetime,
) -> Tick:
    """Decide which partitions to add and which surveys to ask for.

    Args:
        remote_ids: The surveys Hotjar lists.
        known_ids: The partitions there are.
        settled_ids: The partitions with data, or with a run under way.
        tick_cursor: What earlier ticks requested.
        now: The time of the tick.
    """
    missing = sorted(set(remote_ids) - set(settled_ids))
    unknown = set(missing) - set(known_ids)
    due = [
        survey_id
        for survey_id in missing
        if survey_id in unknown
        or survey_id not in tick_cursor.requested
        or tick_cursor.requested[survey_id].is_due(now)
    ]
    chosen = due[:MOST_PER_TICK]
    requested = {key: value for key, value in tick_cursor.requested.items() if key in missing}
    for survey_id in chosen:
        before = requested[survey_id].attempts if survey_id in requested else 0
        requested[survey_id] = Request(before + 1, now)
    return Tick(
        add=[survey_id for survey_id in chosen if survey_id in unknown],
        request=chosen,
        next_cursor=TickCursor(requested=requested),
        waiting=len(missing) - len(chosen),
    )


def _settled(instance: dg.DagsterInstance, known: Sequence[str]) -> set[str]:
    """List the partitions that are materialized or being materialized."""
    statuses = instance.get_status_by_partition(
        survey_responses.key, list(known), survey_partitions
    )
    return {key for key, status in (statuses or {}).items() if status and status.value != "FAILED"}


@dg.sensor(
    name="new_surveys_sensor",
    job=sync_job,
    minimum_interval_seconds=300,
    description="Adds a partition and requests a first run for every survey that is new in Hotjar.",
)
def new_surveys_sensor(
    context: dg.SensorEvaluationContext, hotjar: HotjarResource
) -> dg.SensorResult | dg.SkipReason:
    """Register the surveys that are new and ask for those without data."""
    with as_failure():
        remote = [str(survey.id) for survey in hotjar.client().list_surveys()]
    fail_abandoned_runs(context.instance)
    known = known_surveys(context.instance)
    cursor = TickCursor.from_json(context.cursor)
    tick = plan_tick(
        remote, known, _settled(context.instance, known), cursor, now=datetime.now(UTC)
    )
    if not tick.request:
        context.update_cursor(tick.next_cursor.to_json())
        return dg.SkipReason(
            f"{counted(len(remote), 'survey')} listed, {len(known)} known, none new, "
            f"{tick.waiting} waiting"
        )
    ordered = [*known, *tick.add]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(tags=tags, run_config=run_config(Depth.NEW))
            for tags in range_tags(ordered, tick.request)
        ],
        dynamic_partitions_requests=[survey_partitions.build_add_request(tick.add)],
        cursor=tick.next_cursor.to_json(),
    )
