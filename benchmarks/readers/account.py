"""What every plain reader shares: the token, the pages, and the line it prints."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

URL = os.environ["HOTJAR_API_URL"]
SURVEYS = f"{URL}/v1/sites/{os.environ['HOTJAR_SITE_ID']}/surveys"


def new_session() -> requests.Session:
    """Log in, and keep the connection alive."""
    session = requests.Session()
    form = {
        "grant_type": "client_credentials",
        "client_id": os.environ["HOTJAR_CLIENT_ID"],
        "client_secret": os.environ["HOTJAR_CLIENT_SECRET"],
    }
    token = session.post(f"{URL}/v1/oauth/token", data=form, timeout=30).json()["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"
    # As ours does: looked up for every request, proxies cost as much as sending it.
    session.trust_env = False
    return session


def iter_rows(session: requests.Session, url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each page."""
    cursor = None
    while True:
        params = {"limit": 100, **({"cursor": cursor} if cursor else {})}
        page = session.get(url, params=params, timeout=30).json()
        yield page["results"]
        cursor = page["next_cursor"]
        if not cursor:
            return


def survey_ids(session: requests.Session) -> list[str]:
    """List the surveys."""
    return [str(survey["id"]) for page in iter_rows(session, SURVEYS) for survey in page]


def report(work: Callable[[], int | Mapping[str, float]]) -> None:
    """Run the work and print how long it took, without imports, and how many rows there are."""
    started = time.perf_counter()
    figures = work()
    seconds = round(time.perf_counter() - started, 3)
    rows = figures if isinstance(figures, Mapping) else {"rows": figures}
    sys.stdout.write(json.dumps({"work_seconds": seconds, **rows}) + "\n")
