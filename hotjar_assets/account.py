"""What is done with an account besides syncing it: checking it, and asking it to forget."""

from collections.abc import Iterator
from pathlib import Path

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.api.source import SurveySource
from hotjar_assets.config import Settings, environment_variable, place_name
from hotjar_assets.errors import HotjarConfigError, HotjarError
from hotjar_assets.privacy import Privacy
from hotjar_assets.resources import open_client
from hotjar_assets.streams.personal import unprotected_warning
from hotjar_assets.streams.spec import Source
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets.warehouse import Person, Warehouse
from hotjar_assets.warehouse.expressions import load_checked_folder


def check_account(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield what was tested and what is wrong with it, None where nothing is.

    Two requests a site (or the project), besides the token: the surveys, and the first page of the
    responses of the first one.
    """
    yield "settings", None
    warehouse = Warehouse(
        settings.database_path, lock_timeout_seconds=min(5, settings.lock_timeout_seconds)
    )
    with open_client(settings) as client:
        try:
            client.authenticate()
        except HotjarError as error:
            yield "credentials", str(error)
            return
        yield "credentials", None
        place = place_name(settings.platform).removesuffix("_id")
        for site_id in client.site_ids:
            yield f"{place} {site_id}", _problem_of_site(client, site_id)
        yield (
            f"database {warehouse.path}",
            _problem_of_database(warehouse, client, Privacy.from_settings(settings)),
        )


def check_streams(folder: Path, privacy: Privacy) -> Iterator[tuple[str, str | None]]:
    """Yield each file of streams and what is wrong with it, None where nothing is; no request."""
    loaded = load_checked_folder(folder)
    for path in sorted((*loaded.sources, *loaded.mistakes)):
        mistake = loaded.mistakes.get(path) or _misfit(loaded.sources[path], privacy)
        yield f"streams {path}", str(mistake) if mistake else None


def unprotected_streams(folder: Path) -> list[str]:
    """List warnings of streams that seem to hold personal data and do not say so."""
    sources = load_checked_folder(folder).sources.values()
    warnings = (
        unprotected_warning(source, stream) for source in sources for stream in source.streams
    )
    return [warning for warning in warnings if warning]


def _misfit(source: Source, privacy: Privacy) -> HotjarConfigError | None:
    """Say which stream of a source cannot be stored under a privacy mode."""
    try:
        for stream in source.streams:
            StreamTable.of(source, stream.name, privacy).check_personal()
    except HotjarConfigError as error:
        return error
    return None


def ask_hotjar_to_forget(
    settings: Settings,
    person: Person,
    *,
    delete: bool,
) -> None:
    """Send Hotjar's user lookup for a person, on every site.

    Args:
        settings: The account.
        person: The person.
        delete: Whether Hotjar deletes at once; else it mails a report.

    Raises:
        HotjarConfigError: The source is not the API, which alone has it.
        HotjarApiError: Hotjar refused; what was erased here stays erased.
    """
    with open_client(settings) as client:
        if not isinstance(client, HotjarClient):
            problem = f"{client.name} has no user lookup; it needs the API and its key"
            raise HotjarConfigError(environment_variable("source"), problem)
        client.look_up_user(
            str(settings.organization_id),
            email=person.email,
            user_ids=dict.fromkeys(client.site_ids, person.user_id) if person.user_id else None,
            delete_all_hits=delete,
        )


def _problem_of_site(client: SurveySource, site_id: str) -> str | None:
    try:
        survey = next(client.iter_surveys(site_id, with_questions=False), None)
        if survey is not None:
            next(client.iter_response_pages(site_id, str(survey.id)))
    except HotjarError as error:
        return str(error)
    return None


def _problem_of_database(
    warehouse: Warehouse, client: SurveySource, privacy: Privacy
) -> str | None:
    try:
        warehouse.check(client.account, client.name)
        warehouse.adopt(privacy, rewrite=False)
    except HotjarError as error:
        return str(error)
    return None
