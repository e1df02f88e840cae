"""What differs between the platforms: the login, the paths, and what a refusal means."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from hotjar_assets.api.auth import Auth, ClientCredentials, Login
from hotjar_assets.api.refusals import Advice


def path_segment(survey_id: str) -> str:
    """Return an id as one segment of a path."""
    # An empty or bare dot segment, even an escaped one, would be folded away on the way and
    # name another resource; behind a sign that no id has, it names none.
    return quote(survey_id if survey_id.strip(".") else f"%{survey_id}", safe="")


@dataclass(frozen=True)
class Dialect:
    """One platform's way of speaking the same API.

    Attributes:
        platform: Its name, in every row.
        sites_path: Template of what holds the surveys; `{site_id}` stands in it.
        auth: Makes the login of (client id, secret, sites, clock).
        advice: What its refusals mean.
        domain: Domain of the hosts that a login may name as the base URL of all other requests.
        is_newest_first: Whether its order is known. If not, pages must prove it.
    """

    platform: str
    sites_path: str
    auth: Callable[[str, str, tuple[str, ...], Callable[[], float]], Auth]
    advice: Advice
    domain: str | None = None
    is_newest_first: bool = True

    def surveys(self, site_id: str) -> str:
        """Return the path of a site's surveys."""
        return self.sites_path.format(site_id=quote(site_id, safe="")) + "/surveys"

    def survey(self, site_id: str, survey_id: str) -> str:
        """Return the path of a survey."""
        return f"{self.surveys(site_id)}/{path_segment(survey_id)}"


def _hotjar_login(
    client_id: str, client_secret: str, _site_ids: tuple[str, ...], clock: Callable[[], float]
) -> Auth:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
    }
    refused = (
        "the API key was refused: the client id or secret is wrong, or the key has expired "
        "(keys live one year and cannot be extended; make a new one in Hotjar's settings)"
    )
    login = Login("/v1/oauth/token", form=form)
    return ClientCredentials(login, secret=client_secret, refused=refused, clock=clock)


def _contentsquare_login(
    client_id: str, client_secret: str, site_ids: tuple[str, ...], clock: Callable[[], float]
) -> Auth:
    (project_id,) = site_ids
    body = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": "surveys",
        # Documented as an integer; an id that is none goes as it is.
        "project_id": int(project_id) if project_id.isdecimal() else project_id,
    }
    refused = (
        "the API credentials were refused: the client id or secret is wrong, or they do not "
        "belong to the project (check both in Contentsquare, and HOTJAR_PROJECT_ID), or they have "
        "expired (they are valid for one year; make new ones in Contentsquare), or the Responses "
        "API is not enabled for the project"
    )
    return ClientCredentials(
        Login("/v1/oauth/token", json=body),
        secret=client_secret,
        refused=refused,
        # Not verified: an answer without it is as good.
        endpoint_field="endpoint",
        clock=clock,
    )


HOTJAR = Dialect(
    platform="hotjar",
    sites_path="/v1/sites/{site_id}",
    auth=_hotjar_login,
    advice=Advice(
        url_setting="HOTJAR_API_URL",
        pace_setting="HOTJAR_REQUESTS_PER_MINUTE",
        unauthorized="the API rejected two tokens in a row; check the API key in Hotjar",
        forbidden="not allowed: survey export needs the Ask Scale plan, and the API key must "
        "belong to the organization of the site",
        not_found="not found: Hotjar has no such site or survey; check HOTJAR_SITE_ID",
    ),
)
"""Hotjar API v1. Source: help.hotjar.com "Hotjar API Reference", read 2026-11-20."""

CONTENTSQUARE = Dialect(
    platform="contentsquare",
    sites_path="/v1/public/projects/{site_id}",
    auth=_contentsquare_login,
    advice=Advice(
        url_setting="HOTJAR_API_URL",
        pace_setting="HOTJAR_REQUESTS_PER_MINUTE",
        unauthorized="the API rejected two tokens in a row; check the API credentials in "
        "Contentsquare",
        forbidden="not allowed: the Responses API needs the Pro plan, covers web projects only and "
        "must be enabled for the project; check HOTJAR_PROJECT_ID, or ask Contentsquare to "
        "enable it",
        not_found="not found: Contentsquare has no such project or survey; check HOTJAR_PROJECT_ID",
    ),
    domain="contentsquare.com",
    is_newest_first=False,
)
"""Contentsquare Responses API 1.0; a project is what a site is at Hotjar.

Neither its order nor its rate limit is public. Its credentials are made for one project, so that
an account here is one. They expire one year after they were made; an expired access token is a 401
with `errorCode: JWT_EXPIRED`. Source: docs.contentsquare.com /en/api/responses/ and its
authentication/, read 2026-11-21.
"""

DIALECTS = {dialect.platform: dialect for dialect in (HOTJAR, CONTENTSQUARE)}
"""The platforms that can be read, by name."""
