"""The projects in `examples/`, as their users run them: with Dagster's and dbt's own programs.

Each is copied into an empty folder; the account is a sandbox server of the test.
"""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.defs.dbt import PROJECT
from hotjar_assets.defs.partitions import RANGE_END, RANGE_START
from hotjar_assets.sandbox import SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, SandboxServer
from hotjar_assets_tests.dagster.model import QUIET, SITE, environment, query

NPS = "1204501"
EVERY_TYPE = "1204510"
"""Surveys of the sandbox account."""
NODES = """{ assetNodes { assetKey { path } repository { location { name } } isExecutable
    dependencyKeys { path } } }"""


@dataclass
class Example:
    """A copy of an example and the environment of somebody who works in it."""

    folder: Path
    environ: dict[str, str]

    def run(self, program: str, *arguments: str, folder: str = ".") -> str:
        """Run one of the installed programs; it must succeed."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            cwd=self.folder / folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def graphql(self, *where: str, query: str) -> Any:
        """Ask what Dagster's UI asks; its own program prints log lines as well."""
        lines = self.run("dagster-graphql", *where, "-t", query).splitlines()
        (answer,) = (line for line in lines if line.startswith("{"))
        return json.loads(answer)["data"]

    def nodes(self, *where: str) -> dict[str, tuple[str, set[str]]]:
        """Map each asset to the code location that makes it and to what is upstream of it."""
        nodes = self.graphql(*where, query=NODES)["assetNodes"]
        keys = ["/".join(node["assetKey"]["path"]) for node in nodes]
        assert len(set(keys)) == len(keys)
        return {
            key: (
                node["repository"]["location"]["name"],
                {"/".join(each["path"]) for each in node["dependencyKeys"]},
            )
            for key, node in zip(keys, nodes, strict=True)
            if node["isExecutable"]
        }


@pytest.fixture
def example(request, project, tmp_path, server) -> Example:
    """The example that the test names."""
    folder = Path(shutil.copytree(project / "examples" / request.param, tmp_path / "mine"))
    for packages in folder.rglob("packages.yml"):
        text = packages.read_text(encoding="utf-8")
        packages.write_text(re.sub("local: .*", f"local: {PROJECT}", text), encoding="utf-8")
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}", encoding="utf-8")
    database = tmp_path / "tables.duckdb"
    environ = {
        **os.environ,
        # Of an environment that is activated.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **environment(server, database),
        "ACME_HOTJAR_URL": server.url,
        "ACME_HOTJAR_CLIENT_ID": SANDBOX_CLIENT_ID,
        "ACME_HOTJAR_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
        "ACME_DATABASE": str(database),
        "ACME_FILES": str(tmp_path / "files"),
        "DAGSTER_HOME": str(home),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHONPATH": str(project),
        "PYTHONWARNINGS": "ignore",
    }
    return Example(folder, environ)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def existing(example, monkeypatch) -> Iterator[tuple[dg.Definitions, dg.DagsterInstance]]:
    """The definitions of the existing project, and an instance that knows one survey."""
    for name, value in example.environ.items():
        if name.startswith("ACME_"):
            monkeypatch.setenv(name, value)
    defs = runpy.run_path(str(example.folder / "definitions.py"))["defs"]
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("survey_id", [NPS])
        sync = defs.resolve_job_def("sync_job")
        tags = {RANGE_START: NPS, RANGE_END: NPS}
        assert sync.execute_in_process(instance=instance, tags=tags, run_config=QUIET).success
        yield defs, instance


def make(existing: tuple[dg.Definitions, dg.DagsterInstance], *key: str) -> Any:
    """Materialize one asset, and return what the run says of it."""
    defs, instance = existing
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(key)], run_config=QUIET
    )


@pytest.mark.parametrize("example", ["existing_project"], indirect=True)
def test_the_definitions_stand_among_those_of_an_existing_project(example, existing, server):
    made = make(existing, "devices")

    assert any(request.path == f"{SITE}/{NPS}/responses" for request in server.requests)
    database = Path(example.environ["ACME_DATABASE"])
    sql = "SELECT device, count(*) FROM hotjar.survey_responses GROUP BY 1"
    assert made.output_for_node("devices") == dict(query(database, sql))
    # Stored by the project's own I/O manager, in its own place.
    assert (Path(example.environ["ACME_FILES"]) / "devices").is_file()
    assert ("devices",) not in query(database, "SELECT table_name FROM duckdb_tables()")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("example", ["existing_project"], indirect=True)
def test_an_existing_project_makes_the_models_and_reads_them(example, existing):
    where = ["-f", "definitions.py"]
    example.run("dagster", "definitions", "validate", *where)
    nodes = example.nodes(*where)
    defs, instance = existing
    models = defs.resolve_job_def("models_job")
    assert models.execute_in_process(instance=instance, run_config=QUIET).success
    make(existing, "marketing", "ranking")

    assert nodes["devices"][1] == {"hotjar/survey_responses"}
    assert nodes["marketing/ranking"][1] == {"hotjar_marts/hotjar__survey"}
    database = Path(example.environ["ACME_DATABASE"])
    scored = "SELECT survey_name, nps FROM hotjar_marts.hotjar__survey WHERE nps IS NOT NULL"
    (ranked,) = query(database, "FROM marketing.ranking")
    assert [ranked] == query(database, scored)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("example", ["second_location"], indirect=True)
def test_a_code_location_beside_the_syncs_builds_on_their_tables(example):
    example.run("dbt", "deps", folder="dbt")
    example.run("dbt", "parse", folder="dbt")
    workspace = ["-w", "workspace.yaml"]
    example.run("dagster", "definitions", "validate", *workspace)
    nodes = example.nodes(*workspace)
    surveys = ["--survey", NPS, "--survey", EVERY_TYPE]
    example.run("hotjar-assets", "sync", "--no-models", *surveys)
    materialize = ["asset", "materialize", "-f", "analytics.py", "--select"]
    example.run("dagster", *materialize, 'kind:dbt or key:"analytics/answers_a_day"')
    example.run("dagster", *materialize, 'key:"analytics/devices"', "--partition", NPS)

    locations = {location for location, _ in nodes.values()}
    assert locations == {"hotjar", "analytics"}
    assert nodes["hotjar/survey_responses"] == ("hotjar", {"hotjar/surveys"})
    assert nodes["analytics/devices"] == ("analytics", {"hotjar/survey_responses"})
    # A survey that was only imported is known from its responses alone.
    tables = {"hotjar/surveys", "hotjar/survey_responses"}
    assert nodes["hotjar_staging/stg_hotjar__survey"] == ("analytics", tables)
    assert "hotjar_marts/hotjar__response" in nodes["detractor_texts"][1]
    database = Path(example.environ["HOTJAR_DATABASE"])
    of_one = "SELECT survey_id, device, count(*) FROM hotjar.survey_responses WHERE survey_id = $id"
    assert set(query(database, "FROM analytics.devices")) == set(
        query(database, f"{of_one} GROUP BY ALL", id=NPS)
    )
    (days,) = query(database, "SELECT sum(answers) FROM analytics.answers_a_day")
    assert [days] == query(database, "SELECT count(*) FROM hotjar.survey_responses")
    by_country = (
        "SELECT survey_id, sum(responses), sum(nps_answers) FROM analytics.country_feedback "
        "GROUP BY 1 ORDER BY 1"
    )
    assert query(database, by_country) == query(
        database,
        "SELECT survey_id, count(*), count(nps_score) FROM analytics_hotjar_marts.hotjar__response "
        "GROUP BY 1 ORDER BY 1",
    )
    # The project's own variable holds for its own models too.
    hidden = "SELECT nps IS NULL, count(*) FROM analytics.country_feedback WHERE nps_answers"
    assert [is_hidden for is_hidden, _ in query(database, f"{hidden} < 5 GROUP BY 1")] == [True]
    assert [is_hidden for is_hidden, _ in query(database, f"{hidden} >= 5 GROUP BY 1")] == [False]
    (texts,) = query(database, "SELECT count(*) FROM analytics.detractor_texts")
    assert texts[0] > 0


def test_what_the_readme_shows_is_what_is_tested(project):
    readme = (project / "README.md").read_text(encoding="utf-8")
    section = readme.partition("### In your own project")[2].partition("\n## ")[0]
    blocks = [
        block.replace("\n    ", "\n").strip()
        for block in re.findall(r"(?m)(?:^(?:    .*)?\n)+", section)
        if block.strip()
    ]
    code = [block for block in blocks if not block.startswith(". ")]
    examples = "\n".join(
        path.read_text(encoding="utf-8") for path in (project / "examples").rglob("*.*")
    )

    assert len(code) > 2
    assert [block for block in code if block not in examples] == []
