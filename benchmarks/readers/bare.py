"""The bare loop: requests, JSON decoded, nothing stored. `THREADS` reads that many at once."""

import os
from concurrent.futures import ThreadPoolExecutor

from account import SURVEYS, iter_rows, new_session, report, survey_ids


def read(survey_id: str) -> int:
    """Count the responses of a survey, over a connection of its own."""
    return sum(len(rows) for rows in iter_rows(new_session(), f"{SURVEYS}/{survey_id}/responses"))


def work() -> int:
    """Read everything."""
    session = new_session()
    threads = int(os.environ.get("THREADS", "1"))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(read, survey_ids(session)))
    return sum(
        len(rows)
        for survey_id in survey_ids(session)
        for rows in iter_rows(session, f"{SURVEYS}/{survey_id}/responses")
    )


report(work)
