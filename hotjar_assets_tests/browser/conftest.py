"""A Chromium, a sandbox account, and a `dagster dev` that reads it from an empty project folder."""

import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Error, expect, sync_playwright

from hotjar_assets.sandbox import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_SITE_ID,
    SandboxServer,
)
from hotjar_assets_tests.browser.dagster_dev import DagsterDev, clean_environment, free_port
from hotjar_assets_tests.browser.ui import Theme, Ui, stored_script

HOTJAR_ASSETS = Path(sysconfig.get_path("scripts")) / "hotjar-assets"
NPS = "1204501"
"""A survey of the sandbox account."""

# The pages of Dagster's UI need nothing from outside; the last keeps Chromium itself from looking.
_CHROMIUM = [
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The Chromium of this machine, without a window."""
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("no Chromium here: install Debian's package chromium")
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=binary, chromium_sandbox=False, args=_CHROMIUM
        )
        with browser:
            yield browser


@pytest.fixture
def window(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Ui]]:
    """Open windows on a `dagster dev`; at the end each leaves a last picture and is closed."""
    opened: list[Ui] = []

    def open_window(dev: DagsterDev, theme: Theme = "light") -> Ui:
        context = chromium.new_context(viewport={"width": 1500, "height": 950})
        context.add_init_script(stored_script(theme))
        opened.append(Ui(context.new_page(), dev.url, tmp_path))
        return opened[-1]

    yield open_window
    for number, ui in enumerate(opened):
        try:
            ui.picture(f"end-{number}")
        except Error as error:
            # The test has ended and so has the server; its own outcome is what counts.
            print(f"no picture of window {number}: {error}")  # noqa: T201
        ui.page.context.close()


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """The default sandbox account."""
    with SandboxServer() as server:
        yield server


CORE = """
import dagster as dg
from hotjar_assets.definitions import build_defs

defs = dg.Definitions.merge(
    build_defs(models=False), dg.Definitions(executor=dg.in_process_executor)
)
"""
WORKSPACE = """
load_from:
  - python_file: {relative_path: core.py, location_name: hotjar_assets}
"""


@pytest.fixture
def folder(tmp_path: Path, project: Path) -> Path:
    """A folder with a workspace, and an instance with this package's settings beside it.

    The dbt models are left out: of several groups, the graph would show each as one box.
    """
    (tmp_path / "core.py").write_text(CORE, encoding="utf-8")
    (tmp_path / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")
    home = tmp_path / ".dagster_home"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(project / "hotjar_assets" / "dagster.yaml")
    return tmp_path


@pytest.fixture
def environ(folder: Path, project: Path, server: SandboxServer) -> dict[str, str]:
    """The environment of a user whose account is the server's."""
    return clean_environment(
        DAGSTER_HOME=str(folder / ".dagster_home"),
        HOTJAR_API_URL=server.url,
        HOTJAR_CLIENT_ID=SANDBOX_CLIENT_ID,
        HOTJAR_CLIENT_SECRET=SANDBOX_CLIENT_SECRET,
        HOTJAR_SITE_ID=SANDBOX_SITE_ID,
        PYTHONPATH=str(project),
    )


@pytest.fixture
def start_dev(
    folder: Path, environ: dict[str, str]
) -> Callable[[], AbstractContextManager[DagsterDev]]:
    """Start `dagster dev` in the folder."""

    def start() -> DagsterDev:
        port = free_port()
        where = ["--host", "127.0.0.1", "--port", str(port)]
        command = [sys.executable, "-m", "dagster", "dev", *where]
        return DagsterDev(command, folder=folder, environ=environ, port=port)

    return start


def stored_rows(database: Path) -> dict[str, int]:
    """Count the responses in a database, by survey."""
    with duckdb.connect(str(database), read_only=True) as connection:
        sql = "SELECT survey_id, count(*) FROM hotjar.survey_responses GROUP BY survey_id"
        return dict(connection.execute(sql).fetchall())
