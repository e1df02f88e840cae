"""Made-up responses that look like those of a shop: same seed, same responses, on every machine.

Only `random.Random` seeded with text is used: neither the process's hash seed nor the clock of
the machine has a say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from uuid import UUID

from hotjar_assets.sandbox.catalog import Blueprint, JsonObject
from hotjar_assets.sandbox.texts import COUNTRIES, LONG_TEXT, ODD_TEXTS, PHRASES, Mood

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MICROSECONDS = 86_400_000_000
_RETENTION_DAYS = 365
"""Hotjar drops recordings and the attributes of absent users after this many days."""

_SILENT_TYPES = frozenset({"statement", "thank-you"})
_REACTIONS = ("hate", "dislike", "neutral", "like", "love")

_SCREENS: tuple[tuple[str, str, str, int, int], ...] = (
    ("desktop", "Chrome", "Windows", 1920, 969),
    ("desktop", "Edge", "Windows", 1536, 730),
    ("desktop", "Safari", "macOS", 1440, 789),
    ("desktop", "Firefox", "Linux", 1853, 968),
    ("mobile", "Chrome Mobile", "Android", 412, 785),
    ("mobile", "Mobile Safari", "iOS", 390, 664),
    ("mobile", "Samsung Internet", "Android", 360, 668),
    ("tablet", "Mobile Safari", "iPadOS", 820, 1106),
)
_SCREEN_WEIGHTS = tuple(accumulate((30, 9, 13, 3, 18, 20, 4, 3)))

_NAMES = ("ada", "bilal", "chloé", "dmitri", "emeka", "fatma", "giulia", "hana", "ines", "jonas")
_COMPANIES = ("Acme GmbH", "Nordwind AB", "O'Neill & Sons", "株式会社ひかり", "Café Müller")
_PLANS = ("free", "plus", "business")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may answer several times."""

    hotjar_user_id: str
    language: str
    country: str | None
    email: str
    attributes: tuple[JsonObject, ...]


class ResponseMaker:
    """Makes the responses of one survey, in the order they were given."""

    def __init__(self, blueprint: Blueprint, *, seed: int, clock: datetime) -> None:
        self._blueprint = blueprint
        self._seed = seed
        self._now = to_microseconds(clock)
        self._opened = self._now - blueprint.opened_days_ago * _DAY_MICROSECONDS
        self._closed = self._now - blueprint.closed_days_ago * _DAY_MICROSECONDS
        self._people: list[Person] | None = None

    def initial(self) -> Iterator[tuple[int, JsonObject]]:
        """Yield (created, response) for the blueprint's responses, oldest first."""
        rng = self._rng("responses")
        times = self._times(rng, self._blueprint.responses)
        for sequence, created in enumerate(times):
            yield created, self._response(rng, sequence, created)

    def more(self, *, first_sequence: int, times: Sequence[int]) -> Iterator[JsonObject]:
        """Yield one further response for each time; what they say follows from their sequence."""
        rng = self._rng(f"more/{first_sequence}")
        for offset, created in enumerate(times):
            yield self._response(rng, first_sequence + offset, created, complete=True)

    def missing_answers(self, response: JsonObject) -> list[JsonObject]:
        """Return answers to the questions that the response has none for."""
        rng = self._rng(f"completion/{response['id']}")
        answered = {answer["question_id"] for answer in response["answers"]}
        person = self._person(rng)
        return [
            answer
            for question in self._blueprint.questions
            if question["id"] not in answered
            for answer in self._answers(rng, question, person, self._mood(rng, self._now))
        ]

    def _rng(self, purpose: str) -> Random:
        return Random(f"{self._seed}/{self._blueprint.survey_id}/{purpose}")

    def _times(self, rng: Random, count: int) -> list[int]:
        span = self._closed - self._opened
        times = sorted(self._closed - int(span * rng.random() ** 1.2) for _ in range(count))
        for index, created in enumerate(times):
            # Whole seconds, milliseconds and microseconds all occur, and so do equal times.
            precision = (1_000_000, 1_000, 1)[index % 3]
            times[index] = created - created % precision
            if index and _happens(rng, 0.02):
                times[index] = times[index - 1]
        return sorted(times)

    def _person(self, rng: Random) -> Person:
        if self._people is None:
            people = self._rng("people")
            count = max(10, self._blueprint.responses * 2 // 3)
            languages = [language for language, _ in self._blueprint.languages]
            weights = list(accumulate(weight for _, weight in self._blueprint.languages))
            self._people = [
                self._make_person(people, number, language)
                for number, language in enumerate(
                    people.choices(languages, cum_weights=weights, k=count)
                )
            ]
        return self._people[int(rng.random() * len(self._people))]

    def _make_person(self, rng: Random, number: int, language: str) -> Person:
        name = _NAMES[int(rng.random() * len(_NAMES))]
        email = f"{name}.{number}@example.com"
        attributes: tuple[JsonObject, ...] = ()
        if self._blueprint.is_identified and _happens(rng, 0.7):
            signed_up = self._now - int(rng.random() * 900 * _DAY_MICROSECONDS)
            attributes = (
                {"name": "user_id", "value": f"u-{number:06d}"},
                {"name": "email", "value": email},
                {"name": "plan", "value": _PLANS[int(rng.random() * len(_PLANS))]},
                {"name": "orders", "value": int(rng.random() ** 3 * 80)},
                {"name": "spent_eur", "value": round(rng.random() * 900, 2)},
                {"name": "is_subscriber", "value": _happens(rng, 0.4)},
                {"name": "signed_up_at", "value": to_timestamp(signed_up)},
                {
                    "name": "company",
                    "value": rng.choice(_COMPANIES) if _happens(rng, 0.3) else None,
                },
            )
        return Person(
            hotjar_user_id=_uuid(rng),
            language=language,
            country=rng.choice(COUNTRIES[language]) if _happens(rng, 0.98) else None,
            email=email,
            attributes=attributes,
        )

    def _response(
        self, rng: Random, sequence: int, created: int, *, complete: bool | None = None
    ) -> JsonObject:
        blueprint = self._blueprint
        person = self._person(rng)
        is_retained = self._now - created < _RETENTION_DAYS * _DAY_MICROSECONDS
        device, browser, os, width, height = rng.choices(_SCREENS, cum_weights=_SCREEN_WEIGHTS)[0]
        is_complete = _happens(rng, 0.88) if complete is None else complete
        is_on_page = blueprint.type != "link"
        response: JsonObject = {
            "id": self._response_id(rng, sequence),
            "created_time": to_timestamp(created),
            "is_complete": is_complete,
            "device": device,
            "browser": browser,
            "os": os,
            "country": person.country,
            "hotjar_user_id": person.hotjar_user_id,
            "response_origin_url": None,
            "user_attributes": list(person.attributes) if is_retained else [],
            "answers": [],
        }
        if is_on_page:
            page = blueprint.pages[int(rng.random() ** 1.5 * len(blueprint.pages))]
            is_recorded = is_retained and _happens(rng, 0.6)
            response["response_origin_url"] = f"{blueprint.base_url}{page}"
            response["recording_url"] = (
                f"https://recordings.example.com/{blueprint.site_id}/{rng.getrandbits(48):012x}"
                if is_recorded
                else None
            )
            response["window_size"] = (
                {"width": width, "height": height} if _happens(rng, 0.97) else None
            )
        questions = blueprint.questions
        if not is_complete and len(questions) > 1:
            questions = questions[: 1 + int(rng.random() * (len(questions) - 1))]
        mood = self._mood(rng, created)
        is_recent = self._now - created < 2 * _DAY_MICROSECONDS
        for question in questions:
            for answer in self._answers(rng, question, person, mood):
                if is_recent:
                    answer["tags"], answer["sentiment"] = [], None
                response["answers"].append(answer)
        return response

    def _response_id(self, rng: Random, sequence: int) -> str:
        if self._blueprint.id_style == "uuid":
            return _uuid(rng)
        return f"{self._blueprint.survey_id}{sequence * 7 + int(rng.random() * 7):07d}"

    def _mood(self, rng: Random, created: int) -> Mood:
        """Draw a mood: people grow happier over the life of the survey."""
        span = max(1, self._closed - self._opened)
        progress = min(1.0, max(0.0, (created - self._opened) / span))
        draw = rng.random()
        if draw < 0.36 + 0.22 * progress:
            return "positive"
        return "neutral" if draw < 0.68 + 0.16 * progress else "negative"

    def _answers(
        self, rng: Random, question: JsonObject, person: Person, mood: Mood
    ) -> Iterator[JsonObject]:
        kind = question["type"]
        if kind in _SILENT_TYPES:
            return
        if not question["is_required"] and _happens(rng, 0.25):
            yield _answer(question, None)
        elif kind in {"single-option", "multiple-option"}:
            yield from _choose(rng, question, person, mood)
        elif kind in {"short-text", "long-text"}:
            yield self._text(rng, question, person, mood)
        elif kind == "email":
            yield _answer(question, person.email)
        else:
            yield _answer(question, _score(rng, kind, mood))

    def _text(self, rng: Random, question: JsonObject, person: Person, mood: Mood) -> JsonObject:
        if _happens(rng, 0.03):
            return _answer(question, ODD_TEXTS[int(rng.random() * len(ODD_TEXTS))])
        theme, text = _phrase(rng, person.language, mood)
        if question["type"] == "long-text":
            more = _phrase(rng, person.language, mood)[1]
            if more != text and _happens(rng, 0.5):
                text = f"{text} {more}"
            if _happens(rng, 0.005):
                text = LONG_TEXT * int(2 + rng.random() * 18) + text
        answer = _answer(question, text)
        if _happens(rng, 0.35):
            answer["tags"] = [{"name": theme}]
            if _happens(rng, 0.15):
                answer["tags"].append({"name": "follow up"})
        if self._blueprint.is_sentiment_enabled:
            answer["sentiment"] = mood
        return answer


def to_microseconds(instant: datetime) -> int:
    """Return the microseconds since 1970 of an aware instant, without rounding."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def to_timestamp(microseconds: int) -> str:
    """Return the instant as RFC 3339 in UTC, with no more digits than it needs."""
    instant = _EPOCH + timedelta(microseconds=microseconds)
    timespec = "milliseconds" if microseconds % 1_000 == 0 else "microseconds"
    if microseconds % 1_000_000 == 0:
        timespec = "seconds"
    return f"{instant.replace(tzinfo=None).isoformat(timespec=timespec)}Z"


def _happens(rng: Random, share: float) -> bool:
    return rng.random() < share


def _answer(question: JsonObject, answer: str | None) -> JsonObject:
    return {"question_id": question["id"], "answer": answer, "tags": [], "sentiment": None}


def _phrase(rng: Random, language: str, mood: Mood) -> tuple[str, str]:
    phrases = PHRASES[language][mood]
    return phrases[int(rng.random() * len(phrases))]


def _choose(rng: Random, question: JsonObject, person: Person, mood: Mood) -> Iterator[JsonObject]:
    choices = question["choices"]
    first = int(rng.random() ** 1.6 * len(choices))
    chosen = [first]
    if question["type"] == "multiple-option":
        chosen += [index for index in range(first + 1, len(choices)) if _happens(rng, 0.3)]
    for index in chosen:
        choice = choices[index]
        if isinstance(choice, str):
            yield _answer(question, choice)
            continue
        answer = _answer(question, choice["text"])
        if choice["allow_comment"]:
            answer["comment"] = _phrase(rng, person.language, mood)[1]
        yield answer


def _score(rng: Random, kind: str, mood: Mood) -> str:
    third = ("negative", "neutral", "positive").index(mood)
    if kind == "nps":
        return str(int(((0, 7, 9)[third]) + rng.random() * (7, 2, 2)[third]))
    if kind == "rating-1-5":
        return str(int((1, 3, 4)[third] + rng.random() * (2, 1, 2)[third]))
    if kind == "rating-1-7":
        return str(int((1, 4, 5)[third] + rng.random() * (3, 1, 3)[third]))
    if kind == "reaction":
        return _REACTIONS[int((0, 2, 3)[third] + rng.random() * (2, 1, 2)[third])]
    return "like" if _happens(rng, (0.0, 0.5, 1.0)[third]) else "dislike"


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))
