"""`check` and `forget`: an account, and a person in it."""

import os
import sys
from pathlib import Path

import click

from hotjar_assets.cli.common import FAILED, exit_for, read_settings
from hotjar_assets.cli.output import echo
from hotjar_assets.config import Platform, Settings, Source, environment_variable
from hotjar_assets.errors import HotjarConfigError, HotjarError, HotjarStoreError
from hotjar_assets.private_files import exposed
from hotjar_assets.report.file import default_path


@click.command()
def check() -> None:
    """Test the settings, the credentials, each site or project, the plan and the database."""
    settings = read_settings()
    from hotjar_assets.account import check_account  # noqa: PLC0415 - DuckDB loads with it

    failed = False
    for what, problem in check_account(settings):
        echo(f"{'failed' if problem else 'ok':<7} {what}{f': {problem}' if problem else ''}")
        failed |= problem is not None
    for problem in exposed(*_written_paths(settings)):
        echo(f"{'warning':<7} {problem}")
    sys.exit(FAILED if failed else 0)


def _written_paths(settings: Settings) -> list[Path]:
    """List what may hold answers; an earlier release let other users read it."""
    database = settings.database_path
    return [
        database,
        database.with_name(f"{database.name}.wal"),
        default_path(database),
        Path(os.environ.get("DAGSTER_HOME") or ".dagster_home"),
    ]


@click.command()
@click.option("--user", "user_id", metavar="ID", help="The person's hotjar_user_id.")
@click.option("--email", metavar="ADDRESS", help="The person's e-mail address.")
@click.option("--yes", is_flag=True, help="Erase; without it, only what would be is shown.")
@click.option("--at-hotjar", is_flag=True, help="Also ask Hotjar for its report on the person.")
@click.option("--delete-at-hotjar", is_flag=True, help="With --at-hotjar: delete there, at once.")
def forget(
    *, user_id: str | None, email: str | None, yes: bool, at_hotjar: bool, delete_at_hotjar: bool
) -> None:
    """Erase one person's responses here, for ever, and keep only the ids."""
    if bool(user_id) == bool(email):
        raise click.UsageError("give one of --user and --email")
    if delete_at_hotjar and not at_hotjar:
        raise click.UsageError("--delete-at-hotjar needs --at-hotjar")
    settings = read_settings(needs_account=at_hotjar)
    if at_hotjar:
        _require_user_lookup(settings)
    from hotjar_assets.account import ask_hotjar_to_forget, forget_person  # noqa: PLC0415
    from hotjar_assets.warehouse import Person  # noqa: PLC0415 - DuckDB loads with it

    person = Person(user_id=user_id, email=email)
    try:
        rows = forget_person(settings, person, erase=yes)
        echo(f"{'erased' if yes else 'would erase'} {len(rows)} responses")
        for survey_id, response_id, _ in rows:
            echo(f"  survey {survey_id}  response {response_id}")
        if at_hotjar and yes:
            ask_hotjar_to_forget(settings, person, delete=delete_at_hotjar)
            echo(f"asked Hotjar to {'delete' if delete_at_hotjar else 'mail its report'}")
        if yes and rows:
            _renew_models(settings)
    except HotjarError as error:
        echo(error, err=True)
        sys.exit(FAILED)
    if not yes:
        echo("nothing was erased; add --yes to do it")


def _require_user_lookup(settings: Settings) -> None:
    """Exit with one line if the settings do not reach Hotjar's user lookup."""
    problems = {
        "platform": settings.platform is not Platform.HOTJAR
        and f"{settings.platform} has no such request; leave out --at-hotjar and ask it there",
        "source": settings.source is not Source.API and "--at-hotjar needs the API; set it to api",
        "organization_id": not settings.organization_id and "--at-hotjar needs it",
    }
    for name, problem in problems.items():
        if problem:
            exit_for(HotjarConfigError(environment_variable(name), problem))


def _renew_models(settings: Settings) -> None:
    """Make the models anew, so that nothing of an erased row stays in them."""
    from hotjar_assets.defs.models import has_dbt  # noqa: PLC0415 - Dagster loads with it

    if not has_dbt():
        return
    from hotjar_assets.runs import local_instance, run_models  # noqa: PLC0415

    with local_instance() as instance:
        problem = run_models(instance, settings.database_path)
    if problem:
        raise HotjarStoreError(f"{problem}; they may still hold what was erased: run them again")
    echo("made the dbt models anew")
