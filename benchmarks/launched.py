"""From the UI's launch to the end of the run: one small survey, and a run of one empty step.

The survey is read in two ways: by `sync_job`, as a schedule does (the surveys, the responses, the
checks), and by "Materialize" of its partition (the responses and all their checks).

    .venv/bin/python benchmarks/launched.py [--repeats 5]

All are launched as the UI does, by GraphQL, in turns, on one `dagster dev` with the settings of
this project and the in-process executor. Adds its medians to `results.json`.
"""

import argparse
import json
import shutil
import statistics
import sys
import sysconfig
import tempfile
from pathlib import Path

from run import HERE, ROOT, Case, served

sys.path.insert(0, str(ROOT))

from hotjar_assets_tests.browser.dagster_dev import (
    DagsterDev,
    clean_environment,
    free_port,
)

WORKSPACE = """load_from:
  - python_module:
      module_name: hotjar_assets.locations
      attribute: syncs
      location_name: hotjar_assets
  - python_file: {relative_path: empty_step.py, location_name: empty_step}
"""
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TIMES = """query ($run: ID!) { runOrError(runId: $run) {
    ... on Run { status creationTime startTime endTime } } }"""


def launch(
    dev: DagsterDev, location: str, job: str, tags: dict[str, str], **selected: object
) -> float:
    """Launch a job, or some of its assets, and return the seconds from its launch to its end."""
    params = {
        "selector": {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": job,
            **selected,
        },
        "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
    }
    run_id = dev.graphql(LAUNCH, params=params)["launchRun"]["run"]["runId"]
    if dev.wait_for_run(run_id)["status"] != "SUCCESS":
        raise SystemExit(f"{job} failed: {dev.events(run_id)[-3:]}")
    times = dev.graphql(TIMES, run=run_id)["runOrError"]
    return float(times["endTime"] - times["creationTime"])


def main() -> None:
    """Launch both in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    shutil.copy(ROOT / "hotjar_assets" / "dagster.yaml", folder)
    shutil.copy(HERE / "readers" / "empty_step.py", folder)
    (folder / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")
    port = free_port()
    dagster = str(Path(sysconfig.get_path("scripts")) / "dagster")
    command = [dagster, "dev", "-p", str(port), "-w", "workspace.yaml"]
    runs: dict[str, list[float]] = {"empty step": [], "one survey": [], "one partition": []}
    try:
        with (
            served(Case(1, 100, ()), surveys=1) as server,
            DagsterDev(
                command,
                folder=folder,
                environ=clean_environment(
                    DAGSTER_HOME=str(folder),
                    HOTJAR_API_URL=server.url,
                    HOTJAR_CLIENT_ID="sandbox",
                    HOTJAR_CLIENT_SECRET="sandbox-secret",  # noqa: S106 - the sandbox's
                    HOTJAR_SITE_ID="1001",
                ),
                port=port,
            ) as dev,
        ):
            survey_id = "1400001"
            dev.graphql(
                """mutation ($selector: RepositorySelector!, $name: String!, $key: String!) {
                addDynamicPartition(repositorySelector: $selector, partitionsDefName: $name,
                partitionKey: $key) { __typename } }""",
                selector={
                    "repositoryLocationName": "hotjar_assets",
                    "repositoryName": "__repository__",
                },
                name="survey_id",
                key=survey_id,
            )
            tags = {
                "dagster/asset_partition_range_start": survey_id,
                "dagster/asset_partition_range_end": survey_id,
            }
            partition = {"dagster/partition": survey_id}
            responses = [{"path": ["hotjar", "survey_responses"]}]
            for _ in range(repeats):
                runs["empty step"].append(launch(dev, "empty_step", "empty", {}))
                runs["one survey"].append(launch(dev, "hotjar_assets", "sync_job", tags))
                runs["one partition"].append(
                    launch(dev, "hotjar_assets", "__ASSET_JOB", partition, assetSelection=responses)
                )
    finally:
        shutil.rmtree(folder)
    path = HERE / "results.json"
    saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cases": {}}
    saved["launched"] = {
        "repeats": repeats,
        **{name: round(statistics.median(each), 2) for name, each in runs.items()},
    }
    path.write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
    print(runs, saved["launched"])


if __name__ == "__main__":
    main()
