"""`check` and `forget`: an account, and a person in it."""

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from hotjar_assets.cli.common import (
    FAILED,
    creations_told,
    exit_for,
    read_settings,
    valid_settings,
)
from hotjar_assets.cli.output import echo, echo_json
from hotjar_assets.config import (
    Platform,
    Settings,
    Source,
    environment_variable,
    given_pii,
    streams_folder,
)
from hotjar_assets.errors import HotjarConfigError, HotjarError, HotjarSettingsError
from hotjar_assets.printable import counted
from hotjar_assets.private_files import exposed, replaceable
from hotjar_assets.report.file import default_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from hotjar_assets.erasure import Erasure, Place
    from hotjar_assets.person import Person


@click.command()
def check() -> None:
    """Test the settings, the credentials, each site or project, the plan and the database."""
    folder = streams_folder()
    try:
        settings = valid_settings()
    except HotjarConfigError as error:
        if not any(folder.glob("*.y*ml")):
            exit_for(error)
        _check_streams_alone(folder, error)
    # DuckDB loads with these.
    from hotjar_assets.account import (  # noqa: PLC0415
        check_account,
        check_streams,
        unprotected_streams,
    )
    from hotjar_assets.privacy import Privacy  # noqa: PLC0415

    with creations_told(settings.database_path):
        streams = check_streams(folder, Privacy.from_settings(settings))
        failed = _print_checks(chain(check_account(settings), streams))
    warnings = (
        *unprotected_streams(folder),
        *exposed(*_written_paths(settings)),
        *replaceable(settings.database_path),
    )
    for problem in warnings:
        echo(f"{'warning':<7} {problem}")
    sys.exit(FAILED if failed else 0)


def _check_streams_alone(folder: Path, error: HotjarConfigError) -> NoReturn:
    """Check the streams, which need no account, where the settings of the account are wrong."""
    from hotjar_assets.account import check_streams, unprotected_streams  # noqa: PLC0415 - as above
    from hotjar_assets.privacy import Privacy  # noqa: PLC0415

    try:
        privacy = Privacy.from_settings(given_pii())
    except HotjarConfigError:
        exit_for(error)
    lines = error.lines if isinstance(error, HotjarSettingsError) else [str(error)]
    _print_checks(chain([("settings", "; ".join(lines))], check_streams(folder, privacy)))
    for problem in unprotected_streams(folder):
        echo(f"{'warning':<7} {problem}")
    sys.exit(FAILED)


def _print_checks(checks: Iterable[tuple[str, str | None]]) -> bool:
    """Print what was tested, a line for each, as it is tested; return whether anything failed."""
    failed = False
    for what, problem in checks:
        echo(f"{'failed' if problem else 'ok':<7} {what}{f': {problem}' if problem else ''}")
        failed |= problem is not None
    return failed


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
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def forget(
    *,
    user_id: str | None,
    email: str | None,
    yes: bool,
    at_hotjar: bool,
    delete_at_hotjar: bool,
    as_json: bool,
) -> None:
    """Erase one person's responses here, for ever, and keep only the ids.

    What else holds the person is erased too, or named, and then the exit code is 1.
    """
    if delete_at_hotjar and not at_hotjar:
        raise click.UsageError("--delete-at-hotjar needs --at-hotjar")
    person = _person(user_id, email)
    settings = read_settings(needs_account=at_hotjar)
    if at_hotjar:
        _require_user_lookup(settings)
    elif not settings.database_path.exists():
        # Else a wrong folder or path looks as if nothing was stored of the person.
        problem = f"{settings.database_path} does not exist, so nothing was looked at"
        exit_for(HotjarConfigError(environment_variable("database"), problem))
    from hotjar_assets.erasure import forget_person  # noqa: PLC0415 - DuckDB loads with it

    try:
        with creations_told(settings.database_path):
            done = forget_person(settings, person, erase=yes, renew_models=_renewal(settings))
    except HotjarError as error:
        echo(error, err=True)
        sys.exit(FAILED)
    problems = [_line(place) for place in done.places if yes and place.is_left]
    asked = None
    if at_hotjar and yes:
        asked, refusal = _ask_hotjar(settings, person, delete=delete_at_hotjar)
        problems += [refusal] if refusal else []
    if as_json:
        echo_json(_summary(done, asked, is_erased=yes))
    else:
        _print_erasure(done, asked, is_erased=yes)
    for problem in problems:
        echo(problem, err=True)
    sys.exit(FAILED if problems else 0)


def _person(user_id: str | None, email: str | None) -> "Person":
    from hotjar_assets.person import Person  # noqa: PLC0415 - no other command needs it

    if (user_id is None) == (email is None):
        raise click.UsageError("give one of --user and --email")
    try:
        return Person(user_id=user_id, email=email)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _ask_hotjar(
    settings: Settings, person: "Person", *, delete: bool
) -> tuple[str | None, str | None]:
    """Return what Hotjar was asked to do, and why it refused."""
    from hotjar_assets.account import ask_hotjar_to_forget  # noqa: PLC0415

    try:
        ask_hotjar_to_forget(settings, person, delete=delete)
    except HotjarError as error:
        return None, str(error)
    return "delete" if delete else "mail its report", None


def _summary(done: "Erasure", asked: str | None, *, is_erased: bool) -> dict[str, Any]:
    return {
        "is_erased": is_erased,
        "responses": [
            {"survey_id": survey_id, "response_id": response_id}
            for survey_id, response_id, _ in done.rows
        ],
        "places": [asdict(place) for place in done.places],
        "not_searched": done.not_searched,
        "asked_hotjar_to": asked,
    }


def _print_erasure(done: "Erasure", asked: str | None, *, is_erased: bool) -> None:
    echo(f"{'erased' if is_erased else 'would erase'} {counted(len(done.rows), 'response')}")
    for survey_id, response_id, _ in done.rows:
        echo(f"  survey {survey_id}  response {response_id}")
    for place in done.places:
        # What is left of an erasure is a failure, which is told on stderr.
        if not (is_erased and place.is_left):
            echo(_line(place))
    for text in done.not_searched:
        echo(f"note: {text}")
    if asked:
        echo(f"asked Hotjar to {asked}")
    if not is_erased:
        echo("nothing was erased; add --yes to do it")


def _line(place: "Place") -> str:
    rows = ""
    if place.rows is not None:
        rows = f" ({counted(place.rows, 'row')}, in {', '.join(place.columns)})"
    return f"{'left: ' if place.is_left else ''}{place.name}{rows}: {place.done}"


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


def _renewal(settings: Settings) -> "Callable[[], str | None] | None":
    """Return what runs the dbt models and tells what went wrong; None where dbt is missing."""
    from hotjar_assets.defs.models import has_dbt  # noqa: PLC0415 - Dagster loads with it

    def renew() -> str | None:
        from hotjar_assets.runs import local_instance, run_models  # noqa: PLC0415

        try:
            with local_instance() as instance:
                return run_models(instance, settings.database_path)
        except HotjarError as error:
            return f"the models failed: {error}"

    return renew if has_dbt() else None
