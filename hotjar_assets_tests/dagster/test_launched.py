"""Dagster's own command line over the installed package: another process, an instance on disk."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from hotjar_assets.defs.partitions import add_surveys
from hotjar_assets_tests.dagster.model import (
    SURVEY_IDS,
    Deployment,
    account_ids,
    environment,
    pages_sent,
    stored_ids,
)


@pytest.mark.slow
def test_dagsters_command_line_materializes_a_range_of_partitions(deployment, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    variables = environment(deployment.server, deployment.database) | {"DAGSTER_HOME": str(home)}
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize"]
    target = ["-m", "hotjar_assets.definitions", "--partition-range", "101...103"]

    with dg.DagsterInstance.from_config(str(home)) as instance:
        add_surveys(instance, SURVEY_IDS)
        done = subprocess.run(
            [*command, "--select", 'key:"hotjar/survey_responses"', *target],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        onlooker = Deployment(deployment.server, deployment.settings, instance, deployment.hotjar)
        statuses = onlooker.statuses()

    assert done.returncode == 0, done.stderr
    assert statuses == {**dict.fromkeys(SURVEY_IDS[:3], "MATERIALIZED"), "104": None}
    assert pages_sent(deployment.server) == {"101": 1, "102": 2, "103": 1}
    assert stored_ids(deployment.database, "102") == account_ids(deployment.account, "102")
