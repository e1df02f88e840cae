"""`hotjar-assets check`: does everything a sync needs work, and what to do where it does not."""

from collections.abc import Iterator

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.config import Settings
from hotjar_assets.errors import HotjarError
from hotjar_assets.resources import open_client
from hotjar_assets.warehouse import Warehouse


def check_account(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Yield what was tested and what is wrong with it, None where nothing is.

    Two requests a site, besides the token: the surveys, and the newest responses of the first.
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
        for site_id in client.site_ids:
            yield f"site {site_id}", _problem_of_site(client, site_id)
        yield f"database {warehouse.path}", _problem_of_database(warehouse, client)


def _problem_of_site(client: HotjarClient, site_id: str) -> str | None:
    try:
        survey = next(client.iter_surveys(site_id, with_questions=False), None)
        if survey is not None:
            next(client.iter_response_pages(site_id, str(survey.id)))
    except HotjarError as error:
        return str(error)
    return None


def _problem_of_database(warehouse: Warehouse, client: HotjarClient) -> str | None:
    try:
        warehouse.check(client.account)
    except HotjarError as error:
        return str(error)
    return None
