"""dlt's rest_api source, set as its performance guide recommends.

Parallel extraction, workers, no nested tables, Parquet. It merges by key: only that gives the same
rows when it is run again.
"""

import os

import dlt
from account import URL, report
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.rest_api import rest_api_resources

os.environ.setdefault("EXTRACT__WORKERS", "8")
os.environ.setdefault("NORMALIZE__WORKERS", "2")
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")
SITE = os.environ["HOTJAR_SITE_ID"]
CURSOR = {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "cursor"}


def work() -> int:
    """Load everything and count the rows."""
    resources = rest_api_resources(
        {
            "client": {
                "base_url": f"{URL}/v1/",
                "auth": OAuth2ClientCredentials(
                    access_token_url=f"{URL}/v1/oauth/token",
                    client_id=os.environ["HOTJAR_CLIENT_ID"],
                    client_secret=os.environ["HOTJAR_CLIENT_SECRET"],
                    access_token_request_data={"grant_type": "client_credentials"},
                ),
                "paginator": CURSOR,
            },
            "resource_defaults": {
                "primary_key": "id",
                "write_disposition": "merge",
                "parallelized": True,
                "max_table_nesting": 0,
                "endpoint": {"data_selector": "results", "params": {"limit": 100}},
            },
            "resources": [
                {"name": "surveys", "endpoint": {"path": f"sites/{SITE}/surveys"}},
                {
                    "name": "survey_responses",
                    "endpoint": {
                        "path": f"sites/{SITE}/surveys/{{resources.surveys.id}}/responses"
                    },
                    "include_from_parent": ["id"],
                    "primary_key": ["_surveys_id", "id"],
                },
            ],
        }
    )
    pipeline = dlt.pipeline(
        "hotjar",
        destination=dlt.destinations.duckdb(os.environ["HOTJAR_DATABASE"]),
        dataset_name="hotjar",
        pipelines_dir=os.environ["PIPELINES"],
    )
    pipeline.run(resources, loader_file_format="parquet")
    with pipeline.sql_client() as client:
        ((count,),) = client.execute_sql("SELECT count(*) FROM survey_responses") or [(0,)]
    return int(count)


report(work)
