"""Random sequences of all that can happen, against a model of what the tables must hold."""

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hotjar_assets.config import Settings
from hotjar_assets.defs.assets import survey_responses
from hotjar_assets.defs.partitions import (
    RANGE_END,
    RANGE_START,
    add_surveys,
    known_surveys,
    survey_partitions,
)
from hotjar_assets.defs.sensors import new_surveys_sensor
from hotjar_assets.resources import HotjarResource
from hotjar_assets.sandbox import Fault, SandboxServer
from hotjar_assets.sync import Depth
from hotjar_assets_tests.dagster.model import environment
from hotjar_assets_tests.promises import model
from hotjar_assets_tests.promises.harness import (
    PAGE_ROWS,
    KillAt,
    Outcome,
    ShortPages,
    Snapshot,
    Tables,
    once,
)
from hotjar_assets_tests.promises.worker import Worker

CLOCK = datetime(2020, 1, 1, tzinfo=UTC)
"""Long past, so that years can go by before a response is of the future."""
FAR_FUTURE = datetime(2099, 1, 1, tzinfo=UTC)
NOBODY = "http://127.0.0.2:9/"


def _without_time(rows: list[Any]) -> list[Any]:
    return [{name: row[name] for name in row if name != "created_time"} for row in rows]


HARMLESS: dict[str, dict[str, Any]] = {
    "bom": {},
    "content_type": {},
    "cursor_absent": {},
    "cursor_empty": {},
    "duplicate_rows": {},
    "empty_page": {"times": 3},
    "overlap": {"rows": 3},
    "redirect_same_host": {},
    "unsorted": {},
}
"""Faults after which everything can still be told; the sync must not even fail."""
HARMFUL: dict[str, dict[str, Any]] = {
    **{status: {} for status in ("400", "401", "403", "404", "429", "500", "503")},
    "cut": {},
    "cycle_cursor": {},
    "disconnect": {},
    "html": {},
    "invalid_json": {},
    "mutate_rows": {"transform": _without_time},
    "raw_body": {"body": b'{"results": 5, "next_cursor": null}'},
    "redirect_other_host": {"location": NOBODY},
    "repeat_cursor": {},
    "results_missing": {},
    "results_null": {},
}
LISTS_ALONE = {"cycle_cursor", "mutate_rows", "repeat_cursor", "results_missing", "results_null"}

picks = st.integers(min_value=0, max_value=10_000)
depths = st.sampled_from(Depth)
gaps = st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(hours=5), timedelta(days=30)])
columns = st.sampled_from(model.YOUNG)


class Promises(RuleBasedStateMachine):
    """An account, its tables, the sensor's instance, and the model of what must be there."""

    worker: Worker

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="promises-"))
        self.account = ShortPages(clock=CLOCK, blueprints=())
        self.server = SandboxServer(self.account)
        self.server.start()
        self.tables = Tables(self.folder / "warehouse.duckdb", self.server.url)
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self.settled: set[str] = set()
        self.live: list[str] = []
        self.removed: list[str] = []
        self.newest: dict[str, datetime] = {}
        self.late: set[str] = set()
        self.deleted: list[tuple[str, str]] = []
        self.surveys: model.Rows = {}
        self.held: dict[str, model.Rows] = {}
        for count in (3, 2 * PAGE_ROWS + 2):
            self.add_survey(count=count)
        self._list()

    def teardown(self) -> None:
        self.server.stop()
        self.instance.dispose()
        shutil.rmtree(self.folder)

    # --- What people do in Hotjar --------------------------------------------------------------

    @rule(count=st.sampled_from([0, 1, PAGE_ROWS, 2 * PAGE_ROWS + 1]))
    def add_survey(self, count: int) -> None:
        survey_id = self.account.add_survey()
        self.live.append(survey_id)
        self.newest[survey_id] = CLOCK
        self._add(survey_id, count, timedelta(minutes=1))

    @precondition(lambda self: self.live)
    @rule(pick=picks, count=st.integers(1, 2 * PAGE_ROWS + 1), gap=gaps)
    def add_newest(self, pick: int, count: int, gap: timedelta) -> None:
        self._add(self._live(pick), count, gap)

    @precondition(lambda self: self.live)
    @rule(pick=picks)
    def add_several_of_one_instant(self, pick: int) -> None:
        survey_id = self._live(pick)
        self.newest[survey_id] += timedelta(seconds=1)
        self._add(survey_id, PAGE_ROWS + 2, timedelta(0))

    @precondition(lambda self: self.live)
    @rule(pick=picks, days=st.integers(0, 100), count=st.integers(1, PAGE_ROWS))
    def add_late(self, pick: int, days: int, count: int) -> None:
        survey_id = self._live(pick)
        created_at = self.newest[survey_id] - timedelta(days=days, seconds=1)
        self.late |= set(self.account.add_responses(survey_id, count, created_at=created_at))

    @precondition(lambda self: self.live)
    @rule(pick=picks)
    def add_of_the_future(self, pick: int) -> None:
        self.account.add_responses(self._live(pick), created_at=FAR_FUTURE)

    @precondition(lambda self: self.live)
    @rule(
        pick=picks, which=picks, change=st.sampled_from(["complete", "tag", "retention", "country"])
    )
    def change_response(self, pick: int, which: int, change: str) -> None:
        survey_id = self._live(pick)
        for response_id in self._response(survey_id, which):
            match change:
                case "complete":
                    self.account.complete_response(survey_id, response_id)
                case "tag" if self.account.response(survey_id, response_id)["answers"]:
                    tags = [f"tag {which}"]
                    self.account.tag_response(
                        survey_id, response_id, tags=tags, sentiment="positive"
                    )
                case "retention":
                    self.account.set_response(
                        survey_id, response_id, recording_url=None, user_attributes=None
                    )
                case _:
                    self.account.set_response(survey_id, response_id, country="IS")

    @precondition(lambda self: self.live)
    @rule(pick=picks, which=picks)
    def delete_response(self, pick: int, which: int) -> None:
        survey_id = self._live(pick)
        for response_id in self._response(survey_id, which):
            self.account.delete_response(survey_id, response_id)
            self.deleted.append((survey_id, response_id))

    @precondition(lambda self: self.deleted)
    @rule(pick=picks)
    def restore_response(self, pick: int) -> None:
        survey_id, response_id = self.deleted[pick % len(self.deleted)]
        if survey_id in self.live:
            self.deleted.remove((survey_id, response_id))
            self.account.restore_response(survey_id, response_id)
            # Wherever it stands now, walks have passed its place.
            self.late.add(response_id)

    @precondition(lambda self: len(self.live) > 1)
    @rule(pick=picks)
    def remove_survey(self, pick: int) -> None:
        survey_id = self._live(pick)
        self.account.remove_survey(survey_id)
        self.live.remove(survey_id)
        self.removed.append(survey_id)

    @precondition(lambda self: self.removed)
    @rule(pick=picks)
    def restore_survey(self, pick: int) -> None:
        survey_id = self.removed.pop(pick % len(self.removed))
        self.account.restore_survey(survey_id)
        self.live.append(survey_id)

    @precondition(lambda self: self.live)
    @rule(pick=picks, name=st.text(max_size=5))
    def rename_survey(self, pick: int, name: str) -> None:
        self.account.update_survey(self._live(pick), name=name)

    @precondition(lambda self: self.live)
    @rule(pick=picks, is_enabled=st.booleans())
    def enable_survey(self, pick: int, is_enabled: bool) -> None:
        self.account.update_survey(self._live(pick), is_enabled=is_enabled)

    # --- Syncs ---------------------------------------------------------------------------------

    @rule()
    def list_surveys(self) -> None:
        self._list()

    @rule(depth=depths, days=st.sampled_from([1, 2500, 9000]), stir=picks)
    def sync(self, depth: Depth, days: int, stir: int) -> None:
        self._stir(stir)
        self._sync(self._register(), depth, lookback_days=days)

    @rule(purge=st.booleans())
    def sync_all(self, purge: bool) -> None:
        self._list()
        self._sync(self._register(), Depth.ALL, purge=purge)

    @rule(pick=picks, depth=depths)
    def sync_one(self, pick: int, depth: Depth) -> None:
        """One survey, and nothing known of the others; a first one before any listing too."""
        known = [*self.live, *self.removed]
        survey_id = known[pick % len(known)] if known else "never-heard-of"
        self._sync([survey_id], depth)

    @rule(
        kind=st.sampled_from(sorted(HARMLESS)),
        path=st.sampled_from(["any", "responses", "surveys"]),
        after=st.integers(0, 6),
        depth=depths,
        stir=picks,
    )
    def sync_with_a_harmless_fault(
        self, *, kind: Any, path: Any, after: int, depth: Depth, stir: int
    ) -> None:
        self._stir(stir)
        fault = Fault(kind, path=path, after=after, **HARMLESS[kind])
        with self._fault(fault):
            self._list()
            self._sync(self._register(), depth)

    @rule(
        kind=st.sampled_from(sorted(HARMFUL)),
        path=st.sampled_from(["any", "responses", "surveys", "token"]),
        after=st.integers(0, 8),
        times=st.sampled_from([None, 6, 5, 1]),
        depth=depths,
        stir=picks,
    )
    def sync_with_a_fault(
        self, *, kind: Any, path: Any, after: int, times: int | None, depth: Depth, stir: int
    ) -> None:
        self._stir(stir)
        if path == "token" and kind in LISTS_ALONE:
            path = "any"
        with self._fault(Fault(kind, path=path, after=after, times=times, **HARMFUL[kind])):
            self._list(may_fail=True)
            self._sync(self._register(), depth, may_fail=True)

    @precondition(lambda self: self.live)
    @rule(statement=st.integers(1, 45), depth=depths, stir=picks)
    def kill_a_sync(self, statement: int, depth: Depth, stir: int) -> None:
        """The process dies before that statement; what it has on disk is what there is."""
        self._stir(stir)
        snapshot = Snapshot(self.tables.path)
        kill = KillAt(statement, snapshot.take)
        self._list(kill=kill)
        if not kill.happened:
            self._sync(self._register(), depth, kill=kill)
        if kill.happened:
            snapshot.put_back()
            self._compare_listing(is_certain=False)
            self._compare({}, survey_ids=self.held.keys() | {*self.live, *self.removed})

    # --- A second process ------------------------------------------------------------------------

    @rule(statement=st.integers(1, 30), depth=depths, stir=picks)
    def kill_a_second_process(self, statement: int, depth: Depth, stir: int) -> None:
        self._stir(stir)
        survey_ids = self._register()
        outcome = self.worker.sync(self.tables, survey_ids, depth, kill_at=statement)
        owed = {} if outcome.is_killed else self._owed(list(outcome.stored), depth)
        self._compare(owed, survey_ids=survey_ids)

    @precondition(lambda self: self.live)
    @rule(
        pick=picks,
        page=st.integers(1, 2),
        both=st.tuples(depths, depths),
        count=st.integers(0, PAGE_ROWS + 1),
        gone=st.booleans(),
    )
    def sync_while_another_process_syncs(
        self, pick: int, page: int, both: tuple[Depth, Depth], count: int, gone: bool
    ) -> None:
        """Between two of our pages responses come and go, and another process syncs."""
        mine, theirs = both
        survey_id, survey_ids = self._live(pick), self._register()
        seen = {each: [model.given(self.account, each)] for each in survey_ids}
        others: list[Outcome] = []

        def meanwhile() -> None:
            self._add(survey_id, count, timedelta(seconds=1))
            if gone:
                self.delete_response(pick, pick)
            seen[survey_id].append(model.given(self.account, survey_id))
            others.append(self.worker.sync(self.tables, survey_ids, theirs))

        outcome = self.tables.sync(
            survey_ids, mine, after_page=once(meanwhile, page=page, survey_id=survey_id)
        )
        self._succeeded(outcome, *others)
        owed = self._owed(list(outcome.stored), mine)
        self._compare(owed, survey_ids=survey_ids, seen=seen)
        self._settle(outcome.stored)

    @rule(mine=depths, theirs=depths)
    def two_syncs_at_once(self, mine: Depth, theirs: Depth) -> None:
        survey_ids = self._register()
        self.worker.begin(self.tables, survey_ids, theirs)
        self._sync(survey_ids, mine, then=self.worker.outcome)

    # --- Dagster -------------------------------------------------------------------------------

    @rule(is_cursor_lost=st.booleans())
    def tick(self, is_cursor_lost: bool) -> None:
        """The sensor: every survey without data is asked for, a lost cursor or not."""
        self._list()
        known = set(known_surveys(self.instance))
        unknown = set(self.live) - known
        missing = set(self.live) - (self.settled & known)
        requested = self._tick(None if is_cursor_lost else self.cursor)
        assert unknown <= requested <= missing
        if is_cursor_lost or self.cursor is None:
            assert requested == missing
        self._sync(sorted(requested), Depth.NEW)

    def _tick(self, cursor: str | None) -> set[str]:
        variables = environment(self.server, self.tables.path)
        hotjar = HotjarResource.from_settings(Settings.from_environment(variables))
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, resources={"hotjar": hotjar}
        ) as context:
            ticked: Any = new_surveys_sensor(context)
        hotjar.close()
        if isinstance(ticked, dg.SkipReason):
            return set()
        self.cursor = ticked.cursor
        for request in ticked.dynamic_partitions_requests:
            add_surveys(self.instance, request.partition_keys)
        ordered = list(known_surveys(self.instance))
        requested: set[str] = set()
        for request in ticked.run_requests:
            first, last = (ordered.index(request.tags[tag]) for tag in (RANGE_START, RANGE_END))
            requested |= set(ordered[first : last + 1])
        return requested

    @precondition(lambda self: self.held)
    @rule(pick=picks, is_partition_deleted=st.booleans())
    def wipe_partition(self, pick: int, is_partition_deleted: bool) -> None:
        survey_id = sorted(self.held)[pick % len(self.held)]
        self._execute(f"DELETE FROM hotjar.survey_responses WHERE survey_id = '{survey_id}'")
        self.held.pop(survey_id)
        if is_partition_deleted:
            self.instance.delete_dynamic_partition(str(survey_partitions.name), survey_id)

    @precondition(lambda self: self.held)
    @rule(column=columns)
    def an_older_release_made_the_table(self, column: str) -> None:
        """It lacks a column, which the next sync adds."""
        self._execute(f"ALTER TABLE hotjar.survey_responses DROP COLUMN IF EXISTS {column}")
        for rows in self.held.values():
            for row in rows.values():
                row[column] = None

    # --- How -----------------------------------------------------------------------------------

    def _add(self, survey_id: str, count: int, gap: timedelta) -> None:
        """Add responses that are newer than all that came before, or as new."""
        for _ in range(count):
            self.newest[survey_id] += gap
            self.account.add_responses(survey_id, created_at=self.newest[survey_id])

    def _stir(self, pick: int) -> None:
        """Change a response here and there, and let some come, so that a sync has work to do."""
        for number, survey_id in enumerate(self.live, start=pick):
            for response_id in self._response(survey_id, number // 3):
                self.account.set_response(survey_id, response_id, browser=f"browser {pick}")
            self._add(survey_id, number % (PAGE_ROWS + 3), timedelta(minutes=1))

    def _live(self, pick: int) -> str:
        return self.live[pick % len(self.live)]

    def _response(self, survey_id: str, which: int) -> list[str]:
        rows = self.account.responses(survey_id)
        return [str(rows[which % len(rows)]["id"])] if rows else []

    def _execute(self, sql: str) -> None:
        with duckdb.connect(str(self.tables.path)) as connection:
            connection.execute(sql)

    @contextmanager
    def _fault(self, fault: Fault) -> Iterator[None]:
        self.server.faults.add(fault)
        yield
        self.server.faults.clear()

    def _register(self) -> list[str]:
        """Add the partitions of the surveys in the table, and list all partitions."""
        add_surveys(self.instance, self.surveys)
        return list(known_surveys(self.instance))

    def _list(self, *, may_fail: bool = False, kill: KillAt | None = None) -> None:
        outcome = self.tables.list_surveys(kill=kill)
        assert may_fail or not outcome.problem, outcome.problem
        if not outcome.is_killed:
            self._compare_listing(is_certain=not outcome.problem)

    def _sync(
        self,
        survey_ids: Sequence[str],
        depth: Depth,
        *,
        lookback_days: int = 7,
        purge: bool = False,
        may_fail: bool = False,
        kill: KillAt | None = None,
        then: Callable[[], Outcome] | None = None,
    ) -> None:
        """Sync and compare; a survey that failed must be as it was."""
        outcome = self.tables.sync(
            survey_ids, depth, purge=purge, lookback_days=lookback_days, kill=kill
        )
        other = then() if then else Outcome()
        if outcome.is_killed:
            return
        note(f"stored {list(outcome.stored)}, failed {outcome.failed or outcome.problem}")
        self._succeeded(other)
        failed = outcome.failed.keys() | ({*survey_ids} if outcome.problem else set())
        if not may_fail:
            self._succeeded(outcome)
        assert outcome.problem or failed | outcome.stored.keys() == {*survey_ids}
        owed = self._owed(survey_ids, depth, purge=purge, lookback_days=lookback_days)
        self._compare(
            {key: owed[key] for key in outcome.stored.keys() - failed},
            survey_ids=survey_ids,
            untouched={key for key in failed if not self._has_gap(key)},
        )
        self._settle(outcome.stored)

    def _has_gap(self, survey_id: str) -> bool:
        """Whether a row of ours is gone: then a survey is stored, read whole, and stored again."""
        there = model.given(self.account, survey_id)
        rows = self.held.get(survey_id, {})
        return any(key not in there and not row["is_marked"] for key, row in rows.items())

    def _succeeded(self, *outcomes: Outcome) -> None:
        """Nothing failed, but for surveys that are gone."""
        for outcome in outcomes:
            assert not outcome.problem, outcome.problem
            assert not outcome.failed.keys() & {*self.live}, outcome.failed

    def _owed(
        self,
        survey_ids: Sequence[str],
        depth: Depth,
        *,
        purge: bool = False,
        lookback_days: int = 7,
    ) -> dict[str, model.Owed]:
        return {
            key: model.Owed.by_depth(
                depth.value,
                self.held.get(key, {}),
                lookback_days=lookback_days,
                purge=purge,
                is_removed=self.surveys.get(key, {}).get("is_marked", False),
            )
            for key in survey_ids
        }

    def _compare(
        self,
        owed: dict[str, model.Owed],
        *,
        survey_ids: Collection[str],
        seen: dict[str, list[model.Rows]] | None = None,
        untouched: Collection[str] = (),
    ) -> None:
        """Compare every row with the model, and let the model hold what is there."""
        after = model.held_responses(self.tables.path)
        for key in after.keys() | self.held.keys() | set(survey_ids):
            before, now = self.held.get(key, {}), after.get(key, {})
            there = model.given(self.account, key)
            versions = seen[key] if seen and key in seen else [there]
            if key in survey_ids and key not in untouched:
                found = model.problems(before, now, versions, owed.get(key))
                found += model.hidden(now, there, self.late)
            else:
                found = [] if before == now else ["was not stored and changed"]
            assert not found, f"survey {key}: {'; '.join(found)}"
        self.held = {key: rows for key, rows in after.items() if rows}

    def _compare_listing(self, *, is_certain: bool) -> None:
        after = model.held_surveys(self.tables.path)
        found = model.listing_problems(self.surveys, after, model.listed(self.account))
        assert not found or (not is_certain and after == self.surveys), found
        self.surveys = after

    def _settle(self, survey_ids: Collection[str]) -> None:
        """Record what is stored, as a run does."""
        for key in set(survey_ids) - self.settled:
            event = dg.AssetMaterialization(survey_responses.key, partition=key)
            self.instance.report_runless_asset_event(event)
        self.settled |= set(survey_ids)


@pytest.fixture
def machine(worker: Worker) -> type[Promises]:
    return type("Promises", (Promises,), {"worker": worker})


def test_whatever_happens_no_row_is_lost_or_doubled(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=3,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
            # A failing sequence is told as it was found: to make it short takes minutes.
            phases=[Phase.generate],
        ),
    )


@pytest.mark.soak
def test_whatever_happens_for_long_no_row_is_lost_or_doubled(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=200, stateful_step_count=50, suppress_health_check=list(HealthCheck)
        ),
    )
