"""DataFrames of anybody's assets: how they are stored, and tables loaded as inputs."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest

from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.warehouse import TableSlice, Warehouse

KEY = dg.AssetKey(["team", "scores"])
TEAMS = dg.StaticPartitionsDefinition(["red", "blue", "green"])


class Table:
    """The table team.scores."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.warehouse = Warehouse(database)
        self.expression: str | None = None

    def store(self, frame: pd.DataFrame, partition: str | None = None) -> int:
        """Store a frame as the table, or as one partition of it."""
        keys = (partition,) if partition else ()
        return self.warehouse.replace(TableSlice("team", "scores", self.expression, keys), frame)

    def store_day(self, frame: pd.DataFrame, day: int) -> int:
        """Store a frame as one day of January 2026."""
        start = datetime(2026, 1, day, tzinfo=UTC)
        window = (start, start + timedelta(days=1))
        return self.warehouse.replace(
            TableSlice("team", "scores", self.expression, window=window), frame
        )

    def refuse(self, frame: pd.DataFrame, partition: str | None = None) -> str:
        """Try to store a frame that must be refused, and return what the error says."""
        with pytest.raises(HotjarStoreError) as caught:
            self.store(frame, partition)
        return str(caught.value)

    def rows(self, columns: str = "*", table: str = "team.scores") -> list[Any]:
        with duckdb.connect(str(self.database)) as connection:
            return connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()

    def types(self) -> dict[str, str]:
        with duckdb.connect(str(self.database)) as connection:
            described = connection.execute(
                "SELECT column_name, column_type FROM (DESCRIBE team.scores)"
            )
            return dict(described.fetchall())


@pytest.fixture
def table(path: Path) -> Table:
    return Table(path)


@pytest.fixture
def by_team(table: Table) -> Table:
    """A table partitioned by team, with a row of red and two of blue."""
    table.expression = "team"
    table.store(pd.DataFrame({"team": ["red"], "score": [1]}), "red")
    table.store(pd.DataFrame({"team": ["blue", "blue"], "score": [2, 3]}), "blue")
    return table


# --- Whole tables ------------------------------------------------------------------------------


def test_a_frame_makes_its_table(table):
    written = table.store(pd.DataFrame({"name": ["a", "b"], "score": [1, 2]}))
    assert table.rows() == [("a", 1), ("b", 2)]
    assert table.types() == {"name": "VARCHAR", "score": "BIGINT"}
    assert written == 2


def test_a_second_frame_replaces_the_first(table):
    table.store(pd.DataFrame({"name": ["a", "b"], "score": [1, 2]}))
    table.store(pd.DataFrame({"name": ["c"], "score": [3]}))
    assert table.rows() == [("c", 3)]


def test_columns_go_by_name_whatever_their_order(table):
    table.store(pd.DataFrame({"low": [1], "high": [9]}))
    table.store(pd.DataFrame({"high": [8], "low": [2]}))
    assert table.rows("low, high") == [(2, 8)]


def test_a_new_column_is_added_and_a_missing_one_is_null(table):
    table.store(pd.DataFrame({"name": ["a"], "score": [1]}))
    table.store(pd.DataFrame({"name": ["a"], "rank": [7]}))
    assert table.rows("name, score, rank") == [("a", None, 7)]


def test_an_empty_first_frame_makes_the_table(table):
    columns = {"name": pd.Series(dtype="object"), "score": pd.Series(dtype="int64")}
    assert table.store(pd.DataFrame(columns)) == 0
    assert table.types() == {"name": "VARCHAR", "score": "BIGINT"}
    table.store(pd.DataFrame({"name": ["a"], "score": [1]}))
    assert table.rows() == [("a", 1)]


def test_an_empty_frame_empties_the_table(table):
    frame = pd.DataFrame({"name": ["a"], "score": [1]})
    table.store(frame)
    table.store(frame.head(0))
    assert table.rows() == []


def test_a_column_of_nulls_takes_text_later(table):
    table.store(pd.DataFrame({"name": ["a"], "note": [None]}))
    table.store(pd.DataFrame({"name": ["a"], "note": ["well done"]}))
    assert table.rows() == [("a", "well done")]


def test_a_column_of_nulls_fits_any_column(table):
    table.store(pd.DataFrame({"score": [1], "moment": [datetime(2026, 1, 1, tzinfo=UTC)]}))
    table.store(pd.DataFrame({"score": [None], "moment": [None]}))
    assert table.rows() == [(None, None)]


def test_integers_that_pandas_made_floats_for_their_nulls_fit_their_column(table):
    table.store(pd.DataFrame({"score": [1, 2]}))
    table.store(pd.DataFrame({"score": [3, None]}))
    assert table.types() == {"score": "BIGINT"}
    assert table.rows() == [(3,), (None,)]


@pytest.mark.parametrize(
    ("first", "second"),
    [([1], [0.5]), ([1], ["many"]), ([True], [7]), ([1], [1e30]), ([date(2026, 1, 1)], ["soon"])],
    ids=["a fraction", "a word", "a number for a flag", "a huge number", "a word for a day"],
)
def test_a_value_that_would_change_in_its_column_is_refused(table, first, second):
    table.store(pd.DataFrame({"score": first}))
    before = table.rows()
    text = table.refuse(pd.DataFrame({"score": second}))
    assert "column score of team.scores is" in text
    assert "would change in it; cast them in the asset" in text
    assert str(second[0]) not in text
    assert table.rows() == before


def test_a_frame_that_fails_leaves_the_old_rows(table):
    with duckdb.connect(str(table.database)) as connection:
        connection.execute("CREATE SCHEMA team")
        connection.execute("CREATE TABLE team.scores (name VARCHAR CHECK (name <> 'x'))")
    table.store(pd.DataFrame({"name": ["a"]}))
    assert "refused the rows" in table.refuse(pd.DataFrame({"name": ["b", "x"], "rank": [1, 2]}))
    assert table.rows() == [("a",)]
    assert table.types() == {"name": "VARCHAR"}


def test_lists_structs_and_instants_come_back_as_they_went(table):
    at = datetime(2026, 3, 29, 1, 30, 0, 5, tzinfo=UTC)
    frame = pd.DataFrame({"tags": [["a", "b"]], "size": [{"w": 1, "h": 2}], "moment": [at]})
    table.store(frame)
    table.store(frame)
    ((tags, size, stored_at),) = table.rows("tags, size, epoch_us(moment)")
    assert (tags, size) == (["a", "b"], {"w": 1, "h": 2})
    assert stored_at == int(at.timestamp()) * 1_000_000 + 5


@pytest.mark.parametrize("name", ['sel"ect', "two words", "größe", "order"])
def test_a_column_of_any_name_is_stored(table, name):
    for score in (1, 2):
        table.store(pd.DataFrame({name: [score]}))
        assert table.rows() == [(score,)]


def test_a_file_named_like_the_schema_works(tmp_path):
    table = Table(tmp_path / "team.duckdb")
    for score in (1, 2):
        table.store(pd.DataFrame({"score": [score]}))
    assert table.rows(table="team.team.scores") == [(2,)]


# --- Partitions --------------------------------------------------------------------------------


def test_a_partition_is_replaced_and_the_others_stay(by_team):
    written = by_team.store(pd.DataFrame({"team": ["red", "red"], "score": [8, 9]}), "red")
    assert by_team.rows() == [("blue", 2), ("blue", 3), ("red", 8), ("red", 9)]
    assert written == 2


def test_a_repeated_partition_is_there_once(by_team):
    by_team.store(pd.DataFrame({"team": ["red"], "score": [1]}), "red")
    assert by_team.rows() == [("blue", 2), ("blue", 3), ("red", 1)]


def test_an_empty_frame_empties_its_partition_alone(by_team):
    by_team.store(pd.DataFrame({"team": pd.Series(dtype="str"), "score": []}), "blue")
    assert by_team.rows() == [("red", 1)]


@pytest.mark.parametrize("stray", ["blue", "violet", None], ids=["another", "unknown", "null"])
def test_rows_of_another_partition_are_refused(by_team, stray):
    before = by_team.rows()
    frame = pd.DataFrame({"team": ["red", stray], "score": [7, 7]})
    text = by_team.refuse(frame, "red")
    assert "1 row for team.scores belongs to a partition that is not being written" in text
    assert by_team.rows() == before


def test_a_frame_without_the_partition_column_is_refused(by_team):
    before = by_team.rows()
    by_team.refuse(pd.DataFrame({"score": [7]}), "red")
    assert by_team.rows() == before


def test_a_partition_that_fails_leaves_its_old_rows(by_team):
    before = by_team.rows()
    by_team.refuse(pd.DataFrame({"team": ["red"], "score": ["many"]}), "red")
    assert by_team.rows() == before


def test_a_partition_key_is_compared_as_text(table):
    table.expression = "number"
    for score in (5, 6):
        table.store(pd.DataFrame({"number": [1], "score": [score]}), "1")
    assert table.rows() == [(1, 6)]


def test_several_partitions_are_replaced_together(by_team):
    part = TableSlice("team", "scores", "team", ("red", "green"))
    by_team.warehouse.replace(part, pd.DataFrame({"team": ["red", "green"], "score": [7, 8]}))
    assert by_team.rows() == [("blue", 2), ("blue", 3), ("green", 8), ("red", 7)]


def test_an_expression_that_is_no_sql_is_named_as_what_to_check(table):
    table.expression = "team +"
    text = table.refuse(pd.DataFrame({"team": ["red"]}), "red")
    assert "refused the rows (ParserException)" in text
    assert "check the partition_expr of an asset of your own" in text


@pytest.mark.parametrize(
    "as_stored",
    [
        lambda text: pd.to_datetime([text], utc=True),
        lambda text: pd.to_datetime([text]),
        lambda text: [text],
        lambda text: [date.fromisoformat(text)],
    ],
    ids=["an instant", "an instant without zone", "a text", "a day"],
)
def test_a_time_window_is_replaced_and_its_neighbours_stay(table, as_stored):
    table.expression = "moment"
    for day, score in ((1, 1), (2, 2), (3, 3), (2, 4)):
        table.store_day(
            pd.DataFrame({"moment": as_stored(f"2026-01-0{day}"), "score": [score]}), day
        )
    assert table.rows("score") == [(1,), (3,), (4,)]


def test_an_empty_frame_empties_its_time_window_alone(table):
    table.expression = "moment"
    for day in (1, 2):
        moments = pd.to_datetime([f"2026-01-0{day}"])
        table.store_day(pd.DataFrame({"moment": moments, "score": [day]}), day)
    table.store_day(pd.DataFrame({"moment": [], "score": []}), 1)
    assert table.rows("score") == [(2,)]


def test_the_end_of_a_time_window_belongs_to_the_next(table):
    table.expression = "moment"
    last = pd.to_datetime(["2026-01-01 23:59:59.999999"], utc=True)
    assert table.store_day(pd.DataFrame({"moment": last}), 1) == 1
    next_day = pd.to_datetime(["2026-01-02"], utc=True)
    with pytest.raises(HotjarStoreError, match="1 row for"):
        table.store_day(pd.DataFrame({"moment": next_day}), 1)


# --- As outputs of assets ------------------------------------------------------------------------


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Assets:
    """Materializes one asset and reads the database behind it."""

    def __init__(self, table: Table, instance: dg.DagsterInstance) -> None:
        self.table = table
        self.instance = instance
        self.resources = {"io_manager": HotjarDuckDBIOManager(database=str(table.database))}

    def make(
        self,
        output: object,
        *,
        partition: str | None = None,
        tags: dict[str, str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Materialize an asset with this output and return its metadata."""

        @dg.asset(**({"key": KEY} | options))
        def made() -> Any:
            return output

        result = dg.materialize(
            [made],
            resources=self.resources,
            instance=self.instance,
            partition_key=partition,
            tags=tags,
        )
        materialization = result.asset_materializations_for_node(made.op.name)[0]
        return {name: value.value for name, value in materialization.metadata.items()}

    def take(
        self,
        annotation: object = pd.DataFrame,
        *,
        partition: str | None = None,
        stored: dict[str, Any] | None = None,
        **given: Any,
    ) -> list[tuple[Any, ...]]:
        """Return the rows that an asset gets which takes the table as its input."""
        taken: list[pd.DataFrame] = []
        options: dict[str, Any] = {"partitions_def": TEAMS} if partition else {}

        def reader(scores) -> None:
            taken.append(scores)

        reader.__annotations__["scores"] = annotation
        reading = dg.asset(ins={"scores": dg.AssetIn(key=KEY, **given)}, **options)(reader)
        dg.materialize(
            [dg.AssetSpec(KEY, **(stored or {})), reading],
            selection=[reading],
            resources=self.resources,
            instance=self.instance,
            partition_key=partition,
        )
        (frame,) = taken
        return sorted(frame.itertuples(index=False, name=None))


@pytest.fixture
def assets(table: Table, instance: dg.DagsterInstance) -> Assets:
    return Assets(table, instance)


BY_TEAM: dict[str, Any] = {"partitions_def": TEAMS, "metadata": {"partition_expr": "team"}}


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"key": "scores"}, "public.scores"),
        ({"key": ["a", "b", "scores"]}, "b.scores"),
        ({"key": ["a", "scores"], "metadata": {"schema": "c"}}, "c.scores"),
    ],
    ids=["a key of one part", "a key of three parts", "a schema in the metadata"],
)
def test_the_key_or_the_metadata_names_the_table(assets, options, where):
    figures = assets.make(pd.DataFrame({"score": [1, 2]}), **options)
    assert figures["dagster/row_count"] == 2
    assert assets.table.rows(table=where) == [(1,), (2,)]


def test_a_partitions_rows_are_counted_as_such(assets, by_team):
    frame = pd.DataFrame({"team": ["red", "red"], "score": [8, 9]})
    figures = assets.make(frame, partition="red", **BY_TEAM)
    assert figures["dagster/partition_row_count"] == 2
    assert by_team.rows() == [("blue", 2), ("blue", 3), ("red", 8), ("red", 9)]


@pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")
def test_a_frame_may_hold_all_partitions_of_its_run(assets, by_team):
    assets.make(
        pd.DataFrame({"team": ["red", "green"], "score": [7, 8]}),
        tags={
            "dagster/asset_partition_range_start": "red",
            "dagster/asset_partition_range_end": "green",
        },
        backfill_policy=dg.BackfillPolicy.single_run(),
        **BY_TEAM,
    )
    assert by_team.rows() == [("green", 8), ("red", 7)]


def test_a_daily_partition_is_a_window_of_time(assets):
    options: dict[str, Any] = {
        "partitions_def": dg.DailyPartitionsDefinition("2026-01-01"),
        "metadata": {"partition_expr": "moment"},
    }
    for day, score in (("01", 1), ("02", 2), ("01", 3)):
        frame = pd.DataFrame({"moment": pd.to_datetime([f"2026-01-{day} 23:00"]), "score": score})
        assets.make(frame, partition=f"2026-01-{day}", **options)
    assert assets.table.rows("score") == [(2,), (3,)]


@pytest.mark.parametrize(
    ("output", "options", "problem"),
    [
        ({"score": 1}, {}, "an output of type dict cannot be stored; return a pandas DataFrame"),
        (
            pd.DataFrame({"team": ["red"]}),
            {"partition": "red", "partitions_def": TEAMS},
            "team/scores needs the metadata partition_expr",
        ),
        (
            pd.DataFrame({"team": ["blue"]}),
            {"partition": "red", **BY_TEAM},
            "1 row for team.scores belongs to a partition that is not being written",
        ),
    ],
    ids=["no frame", "no expression", "another partition"],
)
def test_an_output_that_cannot_be_stored_fails_and_says_why(assets, output, options, problem):
    with pytest.raises(dg.Failure) as caught:
        assets.make(output, **options)
    assert problem in str(caught.value.description)
    assert caught.value.allow_retries is False


# --- As inputs of assets


def test_a_table_is_loaded_as_a_frame(assets, table):
    table.store(pd.DataFrame({"name": ["a", "b"], "score": [1, 2]}))
    assert assets.take() == [("a", 1), ("b", 2)]


def test_all_partitions_are_loaded_where_the_reader_has_none(assets, by_team):
    assert assets.take(stored=BY_TEAM) == [("blue", 2), ("blue", 3), ("red", 1)]


@pytest.mark.parametrize(("team", "rows"), [("blue", [("blue", 2), ("blue", 3)]), ("green", [])])
def test_the_readers_own_partition_is_loaded(assets, by_team, team, rows):
    assert assets.take(partition=team, stored=BY_TEAM) == rows


def test_only_the_columns_asked_for_are_loaded_in_their_order(assets, by_team):
    rows = assets.take(stored=BY_TEAM, metadata={"columns": ["score", "team"]})
    assert rows == [(1, "red"), (2, "blue"), (3, "blue")]


def test_a_table_that_was_never_made_is_named(assets):
    with pytest.raises(dg.Failure, match=r"has no table team\.scores; materialize it first"):
        assets.take()


def test_another_type_than_a_frame_is_refused(assets, table):
    table.store(pd.DataFrame({"score": [1]}))
    with pytest.raises(dg.Failure, match="only a pandas DataFrame can be loaded"):
        assets.take(list[int])
