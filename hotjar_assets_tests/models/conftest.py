"""One database with all models, made once: an odd account and small surveys, then models_job."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from hotjar_assets_tests.dagster.model import Deployment, deployed
from hotjar_assets_tests.models.model import EVERY_TYPE, add_small_surveys, odd_account


@dataclass
class Built:
    """A deployment whose models were made, and the run that made them."""

    deployment: Deployment
    result: dg.ExecuteInProcessResult
    environment: tuple[dict[str, str], dict[str, str]]

    @property
    def database(self) -> Path:
        return self.deployment.database


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, _cache_of_its_own: None) -> Iterator[Built]:
    """Sync the odd account, delete two responses of it, read it whole, and make the models."""
    account = odd_account()
    with deployed(tmp_path_factory.mktemp("built"), account) as deployment:
        deployment.models = True
        with pytest.MonkeyPatch.context() as patch:
            # Parsed for this very database, so that the run has nothing to parse.
            patch.setenv("HOTJAR_DATABASE", str(deployment.database))
            deployment.repository.load_all_definitions()
        keys = [survey["id"] for survey in account.surveys()]
        deployment.add_partitions(keys)
        assert deployment.run(keys=keys).success
        for response in account.responses(EVERY_TYPE)[:2]:
            account.delete_response(EVERY_TYPE, str(response["id"]))
        assert deployment.run("reconcile_job", keys=keys).success
        add_small_surveys(deployment.database)
        before = dict(os.environ)
        result = deployment.run("models_job", raise_on_error=True)
        assert result.success
        yield Built(deployment, result, (before, dict(os.environ)))


@pytest.fixture
def copied(built: Built, tmp_path: Path) -> Path:
    """A copy of that database, to change."""
    return Path(shutil.copy(built.database, tmp_path))
