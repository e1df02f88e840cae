"""What the sandbox's account holds, and what can be read of it.

The server reads pages through `survey_page` and `response_page`; tests read the truth through
`surveys` and `responses`. What changes the account is in `account`. HTTP is not known here.
"""

import threading
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from hotjar_assets.sandbox.catalog import Blueprint, JsonObject
from hotjar_assets.sandbox.codec import decode, encode
from hotjar_assets.sandbox.constants import SANDBOX_SECOND_SITE_ID, SANDBOX_SITE_ID
from hotjar_assets.sandbox.generation import ResponseMaker
from hotjar_assets.sandbox.pages import Cut, PageSlice, Row, cut_page, row_key


@dataclass(slots=True)
class HeldSurvey:
    """A survey and its responses, oldest first, made when first asked for."""

    blueprint: Blueprint
    maker: ResponseMaker
    key: tuple[int, int]
    fields: JsonObject
    questions: list[JsonObject]
    is_made: bool = False
    sequence: int = 0
    rows: list[Row] = field(default_factory=list)
    by_id: dict[str, Row] = field(default_factory=dict)
    removed: dict[str, Row] = field(default_factory=dict)
    bodies: dict[bool, bytes] = field(default_factory=dict)

    def make(self) -> "HeldSurvey":
        """Make its first responses if nobody did, and return it."""
        if not self.is_made:
            self.is_made = True
            for created, response in self.maker.initial():
                row = Row((created, self.sequence), encode(response))
                self.sequence += 1
                self.rows.append(row)
                self.by_id[response["id"]] = row
        return self

    def insert(self, row: Row, response_id: str) -> None:
        """Put a response in its place."""
        insort(self.rows, row, key=row_key)
        self.by_id[response_id] = row

    def take(self, response_id: str) -> Row:
        """Take a response out."""
        row = self.by_id.pop(response_id)
        del self.rows[bisect_left(self.rows, row.key, key=row_key)]
        return row

    def to_json(self, *, with_questions: bool) -> JsonObject:
        """Return it as the API lists it."""
        return self.fields | {"questions": self.questions} if with_questions else dict(self.fields)

    def body(self, *, with_questions: bool) -> bytes:
        """Return the same, encoded."""
        if with_questions not in self.bodies:
            self.bodies[with_questions] = encode(self.to_json(with_questions=with_questions))
        return self.bodies[with_questions]


class Holdings:
    """Sites, surveys and responses; safe under threads."""

    def __init__(self) -> None:
        """Begin with two sites and no survey."""
        self._lock = threading.RLock()
        self._sites: dict[str, dict[str, HeldSurvey]] = {
            SANDBOX_SITE_ID: {},
            SANDBOX_SECOND_SITE_ID: {},
        }
        self._surveys: dict[str, HeldSurvey] = {}

    # The truth, for whoever compares with it.

    @property
    def site_ids(self) -> list[str]:
        """The sites, in order of creation."""
        with self._lock:
            return list(self._sites)

    def has_site(self, site_id: str) -> bool:
        """Say whether the account has the site."""
        return site_id in self._sites

    def has_survey(self, site_id: str, survey_id: str) -> bool:
        """Say whether the site has the survey."""
        return survey_id in self._sites.get(site_id, {})

    def survey_ids(self, site_id: str = SANDBOX_SITE_ID) -> list[str]:
        """Return the ids of the site's surveys in the order the API lists them."""
        with self._lock:
            return [str(survey.fields["id"]) for survey in self._newest_surveys(site_id)]

    def surveys(
        self, site_id: str = SANDBOX_SITE_ID, *, with_questions: bool = True
    ) -> list[JsonObject]:
        """Return the site's surveys as the API lists them."""
        with self._lock:
            return [
                decode(survey.body(with_questions=with_questions))
                for survey in self._newest_surveys(site_id)
            ]

    def survey(self, survey_id: str) -> JsonObject:
        """Return one survey with its questions.

        Raises:
            KeyError: There is no such survey.
        """
        with self._lock:
            return decode(self._live(survey_id).body(with_questions=True))

    def response_count(self, survey_id: str) -> int:
        """Return how many responses the survey has."""
        with self._lock:
            return len(self._live(survey_id).make().rows)

    def responses(self, survey_id: str) -> list[JsonObject]:
        """Return the survey's responses, newest first, as the API gives them."""
        with self._lock:
            bodies = [row.body for row in reversed(self._live(survey_id).make().rows)]
        return [decode(body) for body in bodies]

    def response(self, survey_id: str, response_id: str) -> JsonObject:
        """Return one response.

        Raises:
            KeyError: There is no such survey or response.
        """
        with self._lock:
            return decode(self._live(survey_id).make().by_id[response_id].body)

    def language(self, survey_id: str) -> str:
        """Return the language that the survey is written in."""
        with self._lock:
            return self._live(survey_id).blueprint.languages[0][0]

    def numbered_responses(self, survey_id: str) -> list[tuple[int, JsonObject]]:
        """Return the responses with the numbers they came in by, the highest first."""
        with self._lock:
            rows = list(self._live(survey_id).make().rows)
        rows.sort(key=lambda row: row.key[1], reverse=True)
        return [(row.key[1] + 1, decode(row.body)) for row in rows]

    # Pages, for the server.

    def survey_body(self, survey_id: str) -> bytes:
        """Return the encoded survey with its questions."""
        with self._lock:
            return self._live(survey_id).body(with_questions=True)

    def survey_page(self, site_id: str, cut: Cut, *, with_questions: bool) -> PageSlice:
        """Return a page of the site's surveys."""
        with self._lock:
            rows = [
                Row(survey.key, survey.body(with_questions=with_questions))
                for survey in reversed(self._newest_surveys(site_id))
            ]
            return cut_page(rows, cut)

    def response_page(self, survey_id: str, cut: Cut) -> PageSlice:
        """Return a page of the responses of a survey the account has."""
        with self._lock:
            return cut_page(self._live(survey_id).make().rows, cut)

    def _live(self, survey_id: str) -> HeldSurvey:
        survey = self._surveys[survey_id]
        if survey_id not in self._sites[survey.blueprint.site_id]:
            raise KeyError(survey_id)
        return survey

    def _newest_surveys(self, site_id: str) -> list[HeldSurvey]:
        return sorted(self._sites[site_id].values(), key=lambda survey: survey.key, reverse=True)
