"""The account behind the sandbox: sites, surveys and responses, and what happens to them.

Everything a Hotjar user or visitor could do while a client reads is a method here: answer, tag,
delete, rename. The methods may be called from any thread while the server runs. What can be read of
it is in `holdings`. HTTP is not known here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hotjar_assets.sandbox.catalog import (
    Blueprint,
    JsonObject,
    default_blueprints,
    simple_blueprint,
    sized_blueprints,
)
from hotjar_assets.sandbox.codec import decode, encode
from hotjar_assets.sandbox.constants import SANDBOX_ORGANIZATION_ID, SANDBOX_SITE_ID
from hotjar_assets.sandbox.generation import ResponseMaker, to_microseconds, to_timestamp
from hotjar_assets.sandbox.holdings import HeldSurvey, Holdings
from hotjar_assets.sandbox.pages import Row

DEFAULT_CLOCK = datetime(2026, 11, 1, 12, tzinfo=UTC)
DEFAULT_SEED = 1

_SECOND = 1_000_000


class SandboxAccount(Holdings):
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
        super().__init__()
        self.seed = seed
        self.clock = clock
        self.organization_id = SANDBOX_ORGANIZATION_ID
        self.plan_allows_export = True
        self.plan_allows_user_lookup = True
        self.user_lookups: list[JsonObject] = []
        self._now = to_microseconds(clock)
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
                survey.insert(Row((created, survey.sequence), encode(response)), response_id)
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
            changed = Row(key, encode(response))
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

    def _add(self, blueprint: Blueprint, *, created: int | None = None) -> HeldSurvey:
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
        survey = HeldSurvey(
            blueprint=blueprint,
            maker=ResponseMaker(blueprint, seed=self.seed, clock=self.clock),
            key=key,
            fields=fields,
            questions=list(blueprint.questions),
        )
        self._surveys[survey_id] = survey
        self._sites.setdefault(blueprint.site_id, {})[survey_id] = survey
        return survey

    def _tick(self) -> int:
        """Move the account's time on by a second: every change is later than the one before."""
        self._now += _SECOND
        return self._now


def _set_fields(survey: HeldSurvey, fields: JsonObject) -> None:
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
