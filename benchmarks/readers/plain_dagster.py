"""The plain Dagster way: one asset, one DataFrame, the stock DuckDB I/O manager."""

import json
import os
import warnings

warnings.simplefilter("ignore")

import dagster as dg  # noqa: E402
import pandas as pd  # noqa: E402
from account import SURVEYS, iter_rows, new_session, report, survey_ids  # noqa: E402
from dagster_duckdb_pandas import DuckDBPandasIOManager  # noqa: E402


@dg.asset(key_prefix="hotjar")
def survey_responses() -> pd.DataFrame:
    """Every response; nested values as JSON text, which is what the stock I/O manager can take."""
    session = new_session()
    rows = [
        {**row, "survey_id": survey_id}
        for survey_id in survey_ids(session)
        for page in iter_rows(session, f"{SURVEYS}/{survey_id}/responses")
        for row in page
    ]
    frame = pd.DataFrame(rows)
    for column in ("answers", "user_attributes", "window_size"):
        frame[column] = frame[column].map(json.dumps)
    return frame


def work() -> int:
    """Materialize the asset and count its rows."""
    manager = DuckDBPandasIOManager(database=os.environ["HOTJAR_DATABASE"])
    with dg.DagsterInstance.get() as instance:
        result = dg.materialize(
            [survey_responses],
            instance=instance,
            resources={"io_manager": manager},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return len(result.output_for_node("hotjar__survey_responses"))


report(work)
