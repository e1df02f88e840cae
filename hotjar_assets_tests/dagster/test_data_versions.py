"""The data versions by which Dagster tells whether what is downstream is behind."""

from collections.abc import Iterator

import dagster as dg
import pytest

from hotjar_assets.defs.assets import survey_responses, surveys
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.sandbox import Fault
from hotjar_assets.warehouse import Warehouse
from hotjar_assets_tests.dagster.model import RESPONSES, SURVEY_IDS, Deployment, deployed


@pytest.fixture
def synced(tmp_path) -> Iterator[Deployment]:
    """A deployment whose surveys were all stored once."""
    with deployed(tmp_path) as deployment:
        deployment.add_partitions()
        assert deployment.run(keys=SURVEY_IDS).success
        yield deployment


def versions(deployment: Deployment) -> dict[str, str]:
    """The data version of the surveys, and of each partition of the responses."""
    tag, found = "dagster/data_version", {}
    for key, partition in [
        (surveys.key, None),
        *((survey_responses.key, key) for key in RESPONSES),
    ]:
        wanted = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
        (record,) = deployment.instance.fetch_materializations(wanted, limit=1).records
        assert record.asset_materialization
        found[partition or "surveys"] = (record.asset_materialization.tags or {})[tag]
    return found


def test_a_sync_that_changes_nothing_keeps_the_versions(synced):
    before = versions(synced)

    assert synced.run(keys=SURVEY_IDS).success

    assert versions(synced) == before
    assert len({before[key] for key in SURVEY_IDS}) == 1


def test_a_new_response_changes_the_version_of_the_responses_alone(synced):
    before = versions(synced)
    synced.account.add_responses("104", 1)

    assert synced.run(keys=SURVEY_IDS).success

    after = versions(synced)
    assert after["surveys"] == before["surveys"]
    assert not {after[key] for key in SURVEY_IDS} & set(before.values())


def test_rows_are_recorded_as_stored_whoever_holds_the_file_afterwards(synced, monkeypatch):
    before = versions(synced)
    synced.account.add_responses("104", 1)

    def held(*_):
        raise HotjarStoreError("the file is held by PID 1")

    monkeypatch.setattr(Warehouse, "version", held)
    monkeypatch.setattr(Warehouse, "surveys_version", held)
    result = synced.run(keys=SURVEY_IDS)

    assert result.success
    figures = dict(synced.materialized(result))
    assert {key: each["new"] for key, each in figures.items()} == {
        "101": 0,
        "102": 0,
        "103": 0,
        "104": 1,
    }
    assert "dagster/row_count" not in figures["104"]
    after = versions(synced)
    assert set(after.values()) == {result.run_id}
    assert result.run_id not in before.values()


def test_a_deleted_response_changes_the_version_when_it_is_marked_and_when_it_is_purged(synced):
    found = [versions(synced)["104"]]
    (first, *_) = synced.account.responses("104")
    synced.account.delete_response("104", str(first["id"]))

    for config in ({}, {"purge": True}):
        ops = {"ops": {"hotjar__survey_responses": {"config": config}}}
        assert synced.run("reconcile_job", keys=SURVEY_IDS, config=ops).success
        found.append(versions(synced)["104"])

    assert len(set(found)) == 3


def test_the_surveys_that_are_stored_beside_one_that_failed_have_the_version_too(synced):
    before = versions(synced)
    synced.server.faults.add(Fault("403", path="responses", survey_id="102"))

    assert not synced.run(keys=SURVEY_IDS).success

    assert versions(synced) == before
