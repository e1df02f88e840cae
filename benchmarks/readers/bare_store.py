"""The bare loop that stores: every row through one Arrow table into DuckDB, no key, no merge."""

import os

import duckdb
import pyarrow as pa
from account import SURVEYS, iter_rows, new_session, report, survey_ids

TEXT = pa.string()
SCHEMA = pa.schema(
    {
        "survey_id": TEXT,
        "id": TEXT,
        "created_time": TEXT,
        "is_complete": pa.bool_(),
        "device": TEXT,
        "browser": TEXT,
        "os": TEXT,
        "country": TEXT,
        "hotjar_user_id": TEXT,
        "recording_url": TEXT,
        "response_origin_url": TEXT,
        "window_size": pa.struct({"width": pa.int32(), "height": pa.int32()}),
        "user_attributes": pa.list_(pa.struct({"name": TEXT, "value": TEXT})),
        "answers": pa.list_(
            pa.struct(
                {
                    "question_id": TEXT,
                    "answer": TEXT,
                    "comment": TEXT,
                    "tags": pa.list_(pa.struct({"name": TEXT})),
                    "sentiment": TEXT,
                }
            )
        ),
    }
)


def work() -> int:
    """Read and store everything."""
    session = new_session()
    connection = duckdb.connect(os.environ["HOTJAR_DATABASE"])
    first = pa.Table.from_pylist([], SCHEMA)  # noqa: F841 - DuckDB finds it by its name
    connection.execute("CREATE TABLE responses AS FROM first")
    for survey_id in survey_ids(session):
        rows = []
        for page in iter_rows(session, f"{SURVEYS}/{survey_id}/responses"):
            for row in page:
                # An attribute's value may be of any type, which a column cannot.
                for attribute in row["user_attributes"] or ():
                    attribute["value"] = str(attribute["value"])
                row["survey_id"] = survey_id
                rows.append(row)
        arrow = pa.Table.from_pylist(rows, SCHEMA)  # noqa: F841 - the same
        connection.execute("INSERT INTO responses BY NAME FROM arrow")
    ((count,),) = connection.execute("SELECT count(*) FROM responses").fetchall()
    connection.close()
    return int(count)


report(work)
