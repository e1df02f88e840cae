"""The account behind the sandbox: sites, surveys and responses, and what happens to them.

Everything a Hotjar user or visitor could do while a client reads is a method here: answer, tag,
delete, rename. The methods may be called from any thread while the server runs. The server reads
pages through `survey_page` and `response_page`; tests read the truth through `surveys` and
`responses`. HTTP is not known here.
"""

import json
import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from zlib import crc32

import msgspec

from hotjar_assets.sandbox.catalog import (
    Blueprint,
    JsonObject,
    default_blueprints,
    simple_blueprint,
    sized_blueprints,
)
from hotjar_assets.sandbox.constants import (
    SANDBOX_ORGANIZATION_ID,
    SANDBOX_SECOND_SITE_ID,
    SANDBOX_SITE_ID,
)
from hotjar_assets.sandbox.generation import ResponseMaker, to_microseconds, to_timestamp

DEFAULT_CLOCK = datetime(2026, 11, 1, 12, tzinfo=UTC)
DEFAULT_SEED = 1

Paging = Literal["keyset", "offset"]
Order = Literal["newest_first", "oldest_first", "unsorted"]
Position = int | tuple[int, int]
"""Where the next page begins: a number of rows to skip, or the key of the last row served."""

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class PageSlice:
    """Rows of one page, already encoded, and where the next page begins (None: it is the last)."""

    rows: list[bytes]
    next_position: Position | None


@dataclass(slots=True)
class _Row:
    key: tuple[int, int]
    """Created (microseconds since 1970), then the order of arrival, which breaks ties."""
    body: bytes


def _row_key(row: _Row) -> tuple[int, int]:
    return row.key


@dataclass(slots=True)
class _Survey:
    """A survey and its responses, oldest first, made when first asked for."""

    blueprint: Blueprint
    maker: ResponseMaker
    key: tuple[int, int]
    fields: JsonObject
    questions: list[JsonObject]
    is_made: bool = False
    sequence: int = 0
    rows: list[_Row] = field(default_factory=list)
    by_id: dict[str, _Row] = field(default_factory=dict)
    removed: dict[str, _Row] = field(default_factory=dict)
    bodies: dict[bool, bytes] = field(default_factory=dict)

    def make(self) -> "_Survey":
        if not self.is_made:
            self.is_made = True
            for created, response in self.maker.initial():
                row = _Row((created, self.sequence), encode(response))
                self.sequence += 1
                self.rows.append(row)
                self.by_id[response["id"]] = row
        return self

    def insert(self, row: _Row, response_id: str) -> None:
        insort(self.rows, row, key=_row_key)
        self.by_id[response_id] = row

    def take(self, response_id: str) -> _Row:
        row = self.by_id.pop(response_id)
        del self.rows[bisect_left(self.rows, row.key, key=_row_key)]
        return row

    def to_json(self, *, with_questions: bool) -> JsonObject:
        return self.fields | {"questions": self.questions} if with_questions else dict(self.fields)

    def body(self, *, with_questions: bool) -> bytes:
        if with_questions not in self.bodies:
            self.bodies[with_questions] = encode(self.to_json(with_questions=with_questions))
        return self.bodies[with_questions]


class SandboxAccount:
    """A Hotjar account with made-up data: the same seed and clock give the same account.

    Attributes:
        plan_allows_export: False makes every survey endpoint answer 403.
        plan_allows_user_lookup: False makes the user lookup answer 403.
        user_lookups: The bodies of the user lookups received, oldest first.
    """

    def __init__(
        self,
        *,
        seed: int = DEFAULT_SEED,
        clock: datetime = DEFAULT_CLOCK,
        blueprints: Iterable[Blueprint] | None = None,
    ) -> None:
        """Describe the account; the responses of a survey are made when first read.

        Args:
            seed: What the data is drawn from.
            clock: The account's aware "now": no response of the start is newer.
            blueprints: The surveys; the default account's when None.
        """
        if clock.tzinfo is None:
            message = "clock must be an aware datetime"
            raise ValueError(message)
        self.seed = seed
        self.clock = clock
        self.organization_id = SANDBOX_ORGANIZATION_ID
        self.plan_allows_export = True
        self.plan_allows_user_lookup = True
        self.user_lookups: list[JsonObject] = []
        self._lock = threading.RLock()
        self._now = to_microseconds(clock)
        self._sites: dict[str, dict[str, _Survey]] = {
            SANDBOX_SITE_ID: {},
            SANDBOX_SECOND_SITE_ID: {},
        }
        self._surveys: dict[str, _Survey] = {}
        self._arrivals = 0
        for blueprint in default_blueprints() if blueprints is None else blueprints:
            self._add(blueprint)

    @classmethod
    def sized(
        cls,
        *,
        surveys: int = 50,
        responses: int = 2_000,
        seed: int = DEFAULT_SEED,
        clock: datetime = DEFAULT_CLOCK,
    ) -> "SandboxAccount":
        """Return an account of `surveys` surveys with `responses` responses each, on one site."""
        blueprints = sized_blueprints(surveys=surveys, responses=responses)
        return cls(seed=seed, clock=clock, blueprints=blueprints)

    @classmethod
    def empty(cls) -> "SandboxAccount":
        """Return an account with its sites and no survey."""
        return cls(blueprints=())

    def build(self) -> "SandboxAccount":
        """Make all responses now, so that no request waits for it, and return the account."""
        with self._lock:
            for survey in self._surveys.values():
                survey.make()
        return self

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

    def survey_page(
        self,
        site_id: str,
        position: Position | None,
        limit: int,
        *,
        with_questions: bool,
        paging: Paging,
        step_back: int = 0,
    ) -> PageSlice:
        """Return a page of the site's surveys; the arguments are those of `response_page`."""
        with self._lock:
            rows = [
                _Row(survey.key, survey.body(with_questions=with_questions))
                for survey in reversed(self._newest_surveys(site_id))
            ]
            return _slice(rows, position, limit, paging=paging, step_back=step_back)

    def response_page(
        self,
        survey_id: str,
        position: Position | None,
        limit: int,
        *,
        paging: Paging,
        order: Order = "newest_first",
        step_back: int = 0,
    ) -> PageSlice:
        """Return a page of the survey's responses.

        Args:
            survey_id: A survey the account has.
            position: Where the page begins; None for the first page.
            limit: How many rows at most.
            paging: Whether the next position is the key of the last row, which stays right while
                rows come and go, or a number of rows, which does not.
            order: In which order they come.
            step_back: Begin this many rows earlier, so that rows repeat.
        """
        with self._lock:
            rows = _ordered(self._live(survey_id).make().rows, order)
            return _slice(rows, position, limit, paging=paging, step_back=step_back)

    # What users and visitors do meanwhile.

    def add_responses(
        self,
        survey_id: str,
        count: int = 1,
        *,
        created_at: datetime | None = None,
        **fields: Any,
    ) -> list[str]:
        """Add complete, untagged responses and return their ids, oldest first.

        Args:
            survey_id: The survey they answer.
            count: How many.
            created_at: When all of them were given; each a little newer than all others if None.
            **fields: Values that replace the made-up ones, by API name.
        """
        with self._lock:
            survey = self._live(survey_id).make()
            if created_at is None:
                newest = survey.rows[-1].key[0] if survey.rows else 0
                first = max(newest, self._tick()) + _SECOND
                times = [first + index * _SECOND // 4 for index in range(count)]
                self._now = max(self._now, *times) if times else self._now
            else:
                times = [to_microseconds(created_at)] * count
            ids = []
            for created, made in zip(
                times,
                survey.maker.more(first_sequence=survey.sequence, times=times),
                strict=True,
            ):
                for answer in made["answers"]:
                    answer["tags"], answer["sentiment"] = [], None
                response = made | fields
                response_id = str(response["id"])
                survey.insert(_Row((created, survey.sequence), encode(response)), response_id)
                survey.sequence += 1
                ids.append(response_id)
            return ids

    def complete_response(self, survey_id: str, response_id: str) -> None:
        """Let the visitor answer the remaining questions."""
        with self._lock:
            survey = self._live(survey_id).make()
            response = decode(survey.by_id[response_id].body)
            response["answers"] += survey.maker.missing_answers(response)
            self.set_response(survey_id, response_id, is_complete=True, answers=response["answers"])

    def tag_response(
        self,
        survey_id: str,
        response_id: str,
        *,
        tags: Sequence[str],
        sentiment: str | None = None,
        answer_index: int = 0,
    ) -> None:
        """Tag and score one answer of a response, as a researcher would."""
        with self._lock:
            answers = self.response(survey_id, response_id)["answers"]
            answers[answer_index]["tags"] = [{"name": name} for name in tags]
            answers[answer_index]["sentiment"] = sentiment
            self.set_response(survey_id, response_id, answers=answers)

    def set_response(
        self,
        survey_id: str,
        response_id: str,
        *,
        without: Iterable[str] = (),
        **fields: Any,
    ) -> None:
        """Put raw values into a response, whatever they are.

        A `created_time` that can be read moves the response; one that cannot leaves it in place.

        Args:
            survey_id: The survey.
            response_id: The response, by its id as text.
            without: Fields to leave out altogether.
            **fields: Values by API name, known or not.
        """
        with self._lock:
            survey = self._live(survey_id).make()
            row = survey.by_id[response_id]
            response = decode(row.body) | fields
            for name in without:
                response.pop(name, None)
            created = _parse_microseconds(fields.get("created_time"))
            key = row.key if created is None else (created, row.key[1])
            changed = _Row(key, encode(response))
            survey.take(response_id)
            survey.insert(changed, str(response.get("id", response_id)))

    def delete_response(self, survey_id: str, response_id: str) -> None:
        """Delete a response; `restore_response` brings it back."""
        with self._lock:
            survey = self._live(survey_id).make()
            survey.removed[response_id] = survey.take(response_id)

    def restore_response(self, survey_id: str, response_id: str) -> None:
        """Bring a deleted response back, in its old place."""
        with self._lock:
            survey = self._live(survey_id)
            survey.insert(survey.removed.pop(response_id), response_id)

    def add_survey(
        self,
        name: str = "New survey",
        *,
        site_id: str = SANDBOX_SITE_ID,
        survey_id: str | None = None,
        survey_type: str = "popover",
        responses: int = 0,
        **fields: Any,
    ) -> str:
        """Add a survey and return its id; an unknown site is added with it.

        Args:
            name: Its name.
            site_id: Its site.
            survey_id: Its id; made up when None.
            survey_type: Its type.
            responses: How many responses it has at once.
            **fields: Values that replace the made-up ones, by API name; `questions` too.

        Raises:
            ValueError: The account has a survey with this id.
        """
        with self._lock:
            new_id = survey_id or str(1_500_001 + self._arrivals)
            if new_id in self._surveys:
                message = f"the account already has a survey {new_id!r}"
                raise ValueError(message)
            blueprint = simple_blueprint(
                survey_id=new_id,
                name=name,
                survey_type=survey_type,
                site_id=site_id,
                responses=responses,
            )
            # One that has responses was there for a while; one without is new.
            survey = self._add(blueprint, created=None if responses else self._tick())
            if fields:
                _set_fields(survey, fields)
            return new_id

    def update_survey(
        self,
        survey_id: str,
        **fields: Any,
    ) -> None:
        """Rename, disable or otherwise change a survey; `updated_time` moves unless given."""
        with self._lock:
            survey = self._live(survey_id)
            _set_fields(survey, {"updated_time": to_timestamp(self._tick())} | fields)

    def remove_survey(self, survey_id: str) -> None:
        """Remove a survey with its responses; `restore_survey` brings it back."""
        with self._lock:
            survey = self._live(survey_id)
            del self._sites[survey.blueprint.site_id][survey_id]

    def restore_survey(self, survey_id: str) -> None:
        """Bring a removed survey back, in its old place."""
        with self._lock:
            survey = self._surveys[survey_id]
            self._sites[survey.blueprint.site_id][survey_id] = survey

    def look_up_user(
        self, *, email: str | None, user_ids: Mapping[str, str], delete: bool
    ) -> list[tuple[str, str]]:
        """Return the (survey, response) ids of a person, deleting the responses when asked.

        Args:
            email: Matches the attribute `email` and the answers to e-mail questions.
            user_ids: The person's `user_id` attribute by site.
            delete: Whether to delete what is found.
        """
        with self._lock:
            hits = [
                (survey_id, str(response_id))
                for site_id, surveys in self._sites.items()
                for survey_id, survey in surveys.items()
                for response_id, row in survey.make().by_id.items()
                if _mentions(decode(row.body), email=email, user_id=user_ids.get(site_id))
            ]
            if delete:
                for survey_id, response_id in hits:
                    self.delete_response(survey_id, response_id)
            return hits

    def _add(self, blueprint: Blueprint, *, created: int | None = None) -> _Survey:
        opened = to_microseconds(self.clock) - blueprint.opened_days_ago * 86_400 * _SECOND
        key = (opened if created is None else created, self._arrivals)
        self._arrivals += 1
        survey_id = blueprint.survey_id
        slug = f"sites/{blueprint.site_id}/surveys/{survey_id}"
        fields: JsonObject = {
            "id": survey_id,
            "name": blueprint.name,
            "type": blueprint.type,
            "url": f"https://surveys.example.com/s/{survey_id}"
            if blueprint.type == "link"
            else blueprint.base_url,
            "responses_url": f"https://insights.example.com/{slug}/responses",
            "is_enabled": blueprint.is_enabled,
            "created_time": to_timestamp(key[0]),
            "sentiment_analysis_enabled": blueprint.is_sentiment_enabled,
        }
        # Not every survey was ever edited, and the field is optional: absent, null and set occur.
        if created is None and self._arrivals % 3:
            closed = to_microseconds(self.clock) - blueprint.closed_days_ago * 86_400 * _SECOND
            fields["updated_time"] = to_timestamp(closed) if self._arrivals % 3 == 1 else None
        survey = _Survey(
            blueprint=blueprint,
            maker=ResponseMaker(blueprint, seed=self.seed, clock=self.clock),
            key=key,
            fields=fields,
            questions=list(blueprint.questions),
        )
        self._surveys[survey_id] = survey
        self._sites.setdefault(blueprint.site_id, {})[survey_id] = survey
        return survey

    def _live(self, survey_id: str) -> _Survey:
        survey = self._surveys[survey_id]
        if survey_id not in self._sites[survey.blueprint.site_id]:
            raise KeyError(survey_id)
        return survey

    def _newest_surveys(self, site_id: str) -> list[_Survey]:
        return sorted(self._sites[site_id].values(), key=lambda survey: survey.key, reverse=True)

    def _tick(self) -> int:
        """Move the account's time on by a second: every change is later than the one before."""
        self._now += _SECOND
        return self._now


def encode(value: object) -> bytes:
    """Encode JSON; text that is not valid Unicode is sent as escapes, as some servers do."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def decode(body: bytes) -> JsonObject:
    """Decode JSON, lone surrogates included."""
    decoded: JsonObject = json.loads(body)
    return decoded


def _slice(
    rows: Sequence[_Row],
    position: Position | None,
    limit: int,
    *,
    paging: Paging,
    step_back: int,
) -> PageSlice:
    """Cut a page out of rows that are sorted oldest first, newest first."""
    if position is None:
        start = 0
    elif isinstance(position, int):
        start = position
    else:
        start = len(rows) - bisect_left(rows, position, key=_row_key)
    start = max(0, start - step_back)
    page = list(_newest(rows, start, start + limit))
    if start + limit >= len(rows):
        return PageSlice([row.body for row in page], None)
    following = page[-1].key if paging == "keyset" else start + limit
    return PageSlice([row.body for row in page], following)


def _ordered(rows: Sequence[_Row], order: Order) -> Sequence[_Row]:
    """Give rows such keys that the newest of them come in this order, whatever comes or goes."""
    if order == "newest_first":
        return rows
    if order == "oldest_first":
        return [_Row((-row.key[0], -row.key[1]), row.body) for row in reversed(rows)]
    mixed = (_Row((crc32(repr(row.key).encode()), row.key[1]), row.body) for row in rows)
    return sorted(mixed, key=_row_key)


def _newest(rows: Sequence[_Row], start: int, stop: int) -> Iterator[_Row]:
    end = len(rows) - start
    return reversed(rows[max(0, len(rows) - stop) : max(0, end)])


def _set_fields(survey: _Survey, fields: JsonObject) -> None:
    survey.questions = fields.get("questions", survey.questions)
    survey.fields |= {name: value for name, value in fields.items() if name != "questions"}
    survey.bodies.clear()


def _parse_microseconds(value: object) -> int | None:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return to_microseconds(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _mentions(response: JsonObject, *, email: str | None, user_id: str | None) -> bool:
    wanted = {("email", email.casefold())} if email else set()
    if user_id:
        wanted.add(("user_id", user_id.casefold()))
    attributes = {
        (attribute["name"], str(attribute["value"]).casefold())
        for attribute in response.get("user_attributes") or ()
    }
    said = {str(answer["answer"]).casefold() for answer in response.get("answers") or ()}
    return bool(wanted & attributes) or (email is not None and email.casefold() in said)
