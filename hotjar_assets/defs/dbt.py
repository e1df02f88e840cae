"""The models of `dbt_project/` as assets, checks and a job.

Imported only by `build_defs`, and only where the extra `dbt` is installed. Loading parses the
project once for each release and catalog, into a folder of the user's cache, and reads the result
from then on: parsing takes seconds, and every process of a code location would pay them.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets
from filelock import FileLock

from hotjar_assets.config import Settings, environment_variable
from hotjar_assets.defs.assets import IO_MANAGER_KEY
from hotjar_assets.defs.described import described, with_facts
from hotjar_assets.defs.models import MODELS_JOB, ModelsDatabase
from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.private_files import (
    make_private_folder,
    owner_only,
    plain_path,
    private_cache,
    refuse_planted,
    replace_file,
)

PROJECT = Path(__file__).parent.parent / "dbt_project"
_DBT = Path(sys.executable).with_name("dbt")
# What dbt has parsed, by which it passes over what did not change; it is for one database file.
_PARSED = "partial_parse.msgpack"
_DATABASE = environment_variable("database")
_MEMORY = environment_variable("max_models_mb")
# dbt-duckdb takes the name of the catalog from the path as if that were a URL.
_MISREAD_BY_DBT = "#;"
# Unit tests try the formulas on made-up rows: they belong to the development of the package.
_BUILD = ["build", "--exclude-resource-type", "unit_test"]
# dbt asks the package index for its newest version; nothing that runs here needs the network.
_NO_NETWORK = {
    **dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), ""),
}


def build_models(database: Path) -> tuple[dg.AssetsDefinition, Any]:
    """Build the assets of all models, and the job over them.

    Args:
        database: The DuckDB file; of it only the name of its catalog is taken.

    Raises:
        HotjarConfigError: The project cannot be parsed.
    """
    manifest = _manifest(database)
    parsed = manifest.with_name(_PARSED)

    # What a model made can be loaded as a frame, as our own tables can.
    @dbt_assets(manifest=manifest, name="hotjar_models", io_manager_key=IO_MANAGER_KEY)
    def hotjar_models(
        context: dg.AssetExecutionContext, hotjar_dbt: ModelsDatabase
    ) -> Iterator[Any]:
        dbt = DbtCliResource(project_dir=PROJECT, profiles_dir=PROJECT, dbt_executable=_DBT)
        with tempfile.TemporaryDirectory(prefix="hotjar_dbt_") as folder:
            target = Path(folder) / "target"
            database = Path(hotjar_dbt.database)
            refuse_planted(database)
            given = {
                **_given(database, hotjar_dbt.max_models_mb),
                **_NO_NETWORK,
                "DBT_TARGET_PATH": str(parsed.parent),
            }
            # From this folder dagster-dbt takes what was parsed before. dbt inherits the umask.
            with owner_only(), _environment(given), _reached_by_ctrl_c():
                invocation = dbt.cli(_BUILD, context=context, target_path=target)
            yield from with_facts(invocation.stream(), manifest, database, log=context.log)
            _keep(target / _PARSED, parsed)

    job = dg.define_asset_job(
        MODELS_JOB,
        selection=[hotjar_models],
        executor_def=dg.in_process_executor,
        description="The dbt models: scores and summaries of what the syncs stored.",
    )
    return described(hotjar_models, manifest, project=PROJECT), job


def _manifest(database: Path) -> Path:
    """Return the parsed project; parse it if nobody did."""
    folder = _cache() / f"{database.name.split('.')[0]}-{_fingerprint()}"
    manifest = folder / "manifest.json"
    if not manifest.exists():
        make_private_folder(folder)
        with FileLock(folder / "lock", mode=0o600):
            if not manifest.exists():
                _parse(database, manifest)
    return manifest


def _parse(database: Path, manifest: Path) -> None:
    # What is parsed under another limit, dbt would parse again in each run.
    usual = Settings.model_fields["max_models_mb"].default
    with owner_only(), tempfile.TemporaryDirectory(dir=manifest.parent) as target:
        parsed = subprocess.run(  # noqa: S603 - the program of this environment
            [str(_DBT), "--no-use-colors", "parse", "--target-path", target, "--log-path", target],
            cwd=PROJECT,
            env={**os.environ, **_given(database, usual), "DBT_PROFILES_DIR": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if parsed.returncode:
            raise HotjarConfigError(
                "dbt_project",
                f"dbt cannot parse the models of this package: {parsed.stdout[-500:]}",
            )
        _keep(Path(target) / _PARSED, manifest.with_name(_PARSED))
        (Path(target) / manifest.name).replace(manifest)


def _keep(made: Path, kept: Path) -> None:
    """Put a file into its place at once: others may be reading the one before it."""
    replace_file(kept, made.read_bytes())


def _fingerprint() -> str:
    """Hash what a parsed project follows from: its files and dbt."""
    files = sorted(path for path in PROJECT.rglob("*") if path.suffix in {".sql", ".yml"})
    digest = hashlib.sha256(version("dbt-core").encode())
    for path in files:
        digest.update(path.relative_to(PROJECT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache() -> Path:
    """Return a folder for files that can be made again; the package's own may be read-only.

    What lies there is run by dbt, so it is one that no other user can have prepared.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    if given:
        return private_cache(Path(given))
    try:
        return private_cache(Path.home() / ".cache")
    except RuntimeError:  # Neither HOME nor the list of users names one.
        return private_cache(None)


def _given(database: Path, max_models_mb: int) -> dict[str, str]:
    """Return what the profile of the project asks for; dbt works in the project's own folder."""
    path = plain_path(database.absolute(), _MISREAD_BY_DBT)
    return {
        _DATABASE: str(path),
        _MEMORY: str(max_models_mb),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


@contextmanager
def _reached_by_ctrl_c() -> Iterator[None]:
    """Start child processes that Ctrl-C ends; the command line blocks it for those of Dagster."""
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables: dagster-dbt gives dbt those of this process, and no others."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
