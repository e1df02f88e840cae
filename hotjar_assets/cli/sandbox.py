"""`sandbox` and `demo`: the account with made-up data."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from hotjar_assets.cli.common import FAILED, exit_for, read_settings
from hotjar_assets.cli.output import echo
from hotjar_assets.cli.report import write_report
from hotjar_assets.cli.sync import run_sync
from hotjar_assets.cli.tables import print_scores, print_table
from hotjar_assets.config import (
    SANDBOX_DATABASE,
    SANDBOX_INSIGHTS_DATABASE,
    Platform,
    Source,
    environment_variable,
    is_loopback,
)
from hotjar_assets.errors import HotjarConfigError, HotjarError


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--seed", default=1, show_default=True, help="Seed of the made-up data.")
@click.option("--latency", default=0.0, metavar="SECONDS", help="Delay of every answer.")
def sandbox(*, host: str, port: int, seed: int, latency: float) -> None:
    """Run the sandbox, a local Hotjar and Contentsquare with made-up data, until interrupted."""
    from hotjar_assets.sandbox.limits import MAX_DELAY_SECONDS  # noqa: PLC0415 - few need it
    from hotjar_assets.sandbox.server import run  # noqa: PLC0415 - a web server loads with it

    if not is_loopback(host):
        problem = "must be an address of this machine, such as 127.0.0.1"
        exit_for(HotjarConfigError("--host", f"{problem}: the sandbox has no access control"))
    if not 0 <= latency <= MAX_DELAY_SECONDS:
        problem = f"must be from 0 to {MAX_DELAY_SECONDS:g} seconds"
        exit_for(HotjarConfigError("--latency", problem))
    try:
        run(host=host, port=port, seed=seed, latency_seconds=latency, on_start=_print_settings)
    except OSError as error:
        problem = f"the sandbox cannot listen on {host}, port {port} ({error.strerror})"
        echo(f"{problem}; choose another with --host or --port", err=True)
        sys.exit(FAILED)


def _print_settings(url: str) -> None:
    from hotjar_assets.sandbox.constants import sandbox_settings  # noqa: PLC0415 - few need it

    echo(f"Sandbox at {url}; Ctrl+C stops it. To use it in another terminal:")
    for name, value in {**sandbox_settings(url), "database": SANDBOX_DATABASE}.items():
        echo(_export(name, value))
    echo(f"# for Contentsquare, also: {_export('platform', Platform.CONTENTSQUARE)}")
    insights = _export("source", Source.INSIGHTS), _export("database", SANDBOX_INSIGHTS_DATABASE)
    echo(f"# for the export of Insights, also: {'; '.join(insights)}")


def _export(name: str, value: str) -> str:
    return f"export {environment_variable(name)}={shlex.quote(value)}"


@click.command()
def demo() -> None:
    """Sync the sandbox account twice, from nothing; report what it says and how to open the UI."""
    os.environ.update({environment_variable("sandbox"): "1"})
    for name in ("database", "source"):
        os.environ.pop(environment_variable(name), None)
    settings = read_settings()
    for leftover in (SANDBOX_DATABASE, f"{SANDBOX_DATABASE}.wal"):
        Path(leftover).unlink(missing_ok=True)
    for title in ("A first sync reads everything", "A second one, with nothing new"):
        summary, problems = run_sync(settings)
        echo()
        echo(f"{title}:")
        print_table(summary, summary.pop("names"))
        if problems:
            raise click.ClickException("; ".join(problems))
        if summary["models"]:
            echo()
            echo("What the dbt models make of them:")
            print_scores(settings)
    try:
        page = f"A report of them, for any browser: {write_report(settings)}"
    except HotjarError as error:
        page = str(error)
    echo()
    echo(
        f"The rows are in {settings.database_path}, tables hotjar.surveys and "
        "hotjar.survey_responses."
    )
    echo(page)
    echo(f"Open the UI on them:  {ui_command()}")


def ui_command() -> str:
    """Return the command that opens Dagster's UI on the sandbox's tables and the runs made here."""
    sandbox = f"{environment_variable('sandbox')}=1"
    if Path("Makefile").exists() and Path("hotjar_assets", "definitions.py").exists():
        return f"{sandbox} make dev"
    # Without DAGSTER_HOME, Dagster shows an empty instance and deletes it afterwards.
    home = Path(os.environ.get("DAGSTER_HOME") or ".dagster_home").absolute()
    dagster = shutil.which("dagster") and "dagster"
    program = dagster or str(Path(sys.executable).with_name("dagster"))
    return (
        f"{sandbox} DAGSTER_HOME={shlex.quote(str(home))} "
        f"{shlex.quote(program)} dev -m hotjar_assets.definitions"
    )
