"""The surveys of the default account, described; the responses are made in `generation`.

One blueprint is one survey: what the API says of it, and how its responses should look.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal
from uuid import UUID

from hotjar_assets.sandbox.constants import SANDBOX_SECOND_SITE_ID, SANDBOX_SITE_ID

JsonObject = dict[str, Any]
IdStyle = Literal["number", "uuid"]

SHOP = "https://shop.example.com"
DOCS = "https://docs.example.com"

_SHOP_PAGES = (
    "/",
    "/cart?utm_source=newsletter&utm_campaign=autumn",
    "/checkout/payment",
    "/checkout/done?order=48213&currency=EUR",
    "/products/espresso-maker?color=red",
    "/search?q=filter%20paper&page=2",
    "/fr/caf%C3%A9#avis",
)
_ENGLISH: tuple[tuple[str, float], ...] = (("en", 1.0),)
_WORLD: tuple[tuple[str, float], ...] = (
    ("en", 0.42),
    ("de", 0.14),
    ("fr", 0.12),
    ("es", 0.09),
    ("pt", 0.05),
    ("it", 0.04),
    ("nl", 0.04),
    ("pl", 0.03),
    ("ja", 0.02),
    ("zh", 0.01),
    ("ko", 0.01),
    ("ar", 0.01),
    ("hi", 0.01),
    ("sv", 0.01),
)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One survey and how its responses should look.

    Ages are days before the account's clock: a survey collects from `opened_days_ago` until
    `closed_days_ago`.
    """

    survey_id: str
    name: str
    type: str
    questions: tuple[JsonObject, ...]
    responses: int
    site_id: str = SANDBOX_SITE_ID
    base_url: str = SHOP
    pages: tuple[str, ...] = _SHOP_PAGES
    languages: tuple[tuple[str, float], ...] = _ENGLISH
    id_style: IdStyle = "number"
    is_enabled: bool = True
    is_sentiment_enabled: bool = False
    is_identified: bool = False
    opened_days_ago: int = 300
    closed_days_ago: int = 0


def _question(
    question_type: str,
    text: str,
    *,
    required: bool = False,
    choices: Sequence[str | JsonObject] | None = None,
    labels: tuple[str, str] | None = None,
    image_url: str | None = None,
) -> JsonObject:
    question: JsonObject = {
        "id": "",
        "text": text,
        "type": question_type,
        "is_required": required,
        "choices": None if choices is None else list(choices),
        "labels": None if labels is None else {"low_label": labels[0], "high_label": labels[1]},
    }
    if image_url is not None:
        question["image_url"] = image_url
    return question


def _choices(*texts: str, other: str | None = None) -> list[str | JsonObject]:
    choices: list[str | JsonObject] = [{"text": text, "allow_comment": False} for text in texts]
    if other is not None:
        choices.append({"text": other, "allow_comment": True})
    return choices


_NPS = _question(
    "nps",
    "How likely are you to recommend us to a friend or colleague?",
    required=True,
    labels=("Not at all likely", "Extremely likely"),
)
_WHY = _question("long-text", "What is the main reason for your score?")
_EMAIL = _question("email", "May we contact you? Leave your e-mail address.")
_THANKS = _question("thank-you", "Thank you for your answers! 🙏")

_EVERY_TYPE = (
    _question("statement", "This takes about two minutes.", image_url=f"{SHOP}/img/hello.png"),
    _NPS,
    _question("rating-1-5", "How easy was it to set up?", labels=("Very hard", "Very easy")),
    _question("rating-1-7", "The shop is easy to use.", labels=("Disagree", "Agree")),
    _question("reaction", "How do you feel about the new layout?"),
    _question("reaction-binary", "Was this page helpful?"),
    _question("single-option", "What is your role?", choices=["Buyer", "Designer", "Developer"]),
    _question(
        "multiple-option",
        "Which features do you use?",
        choices=_choices("Wish list", "Subscriptions", "Gift cards", other="Something else"),
    ),
    _question("short-text", "In one word, how would you describe us?"),
    _question("long-text", "What should we improve first?\n(Please do not enter card numbers.)"),
    _EMAIL,
    _THANKS,
)

_BLUEPRINTS = (
    Blueprint(
        survey_id="1204501",
        name="Checkout NPS",
        type="popover",
        questions=(_NPS, _WHY, _EMAIL, _THANKS),
        responses=2_400,
        languages=_WORLD,
        is_sentiment_enabled=True,
        is_identified=True,
        opened_days_ago=420,
    ),
    Blueprint(
        survey_id="1204502",
        name="Help centre: was this article helpful?",
        type="popover",
        questions=(
            _question("reaction-binary", "Was this article helpful?", required=True),
            _question("short-text", "What were you looking for?"),
        ),
        responses=5_000,
        pages=("/help/returns", "/help/delivery?country=FR", "/help/payment#cards", "/help/sizes"),
        languages=_WORLD,
        is_sentiment_enabled=True,
        opened_days_ago=500,
    ),
    Blueprint(
        survey_id="survey_5f0c2a52-7c1e-4d58-9f6b-0f8d1f1b9a11",
        name="Exit intent: why are you leaving? 🛒",
        type="full_screen",
        questions=(
            _question(
                "single-option",
                "What stops you from ordering today?",
                required=True,
                choices=_choices(
                    "Just looking", "Price", "Delivery cost", "Could not find it", other="Other"
                ),
            ),
            _question("long-text", "What could we do better?"),
        ),
        responses=900,
        languages=_WORLD,
        id_style="uuid",
        opened_days_ago=180,
    ),
    Blueprint(
        survey_id="1204504",
        name="Product-market fit",
        type="popover",
        questions=(
            _question(
                "single-option",
                "How would you feel if you could no longer use our subscriptions?",
                required=True,
                choices=["Very disappointed", "Somewhat disappointed", "Not disappointed"],
            ),
            _question("long-text", "What is the main benefit you get?"),
        ),
        responses=640,
        is_identified=True,
        opened_days_ago=240,
    ),
    Blueprint(
        survey_id="1204505",
        name="Cancelled subscription (mailed link)",
        type="link",
        questions=(
            _question(
                "multiple-option",
                "Why did you cancel?",
                required=True,
                choices=_choices("Too expensive", "Quality", "Moved away", other="Other reason"),
            ),
            _question("long-text", "Anything else you would like to tell us?"),
        ),
        responses=180,
        languages=(("en", 0.6), ("es", 0.25), ("pt", 0.15)),
        is_sentiment_enabled=True,
        is_identified=True,
        opened_days_ago=330,
    ),
    Blueprint(
        survey_id="1204506",
        name="Relationship NPS 2025 (closed)",
        type="link",
        questions=(_NPS, _WHY),
        responses=1_250,
        languages=_WORLD,
        is_enabled=False,
        is_identified=True,
        opened_days_ago=560,
        closed_days_ago=310,
    ),
    Blueprint(
        survey_id="1204507",
        name="Zufriedenheit nach dem Kauf",
        type="popover",
        questions=(
            _question(
                "rating-1-5",
                "Wie zufrieden sind Sie mit Ihrem Einkauf?",
                labels=("Sehr unzufrieden", "Sehr zufrieden"),
            ),
            _question("short-text", "Was hat Ihnen gefehlt?"),
        ),
        responses=700,
        pages=("/de/danke?bestellung=7781", "/de/konto/bestellungen"),
        languages=(("de", 0.95), ("en", 0.05)),
        is_sentiment_enabled=True,
    ),
    Blueprint(
        survey_id="survey_0b7de4c4-52a3-4f0e-8a55-5d0c6c6a2e02",
        name="Satisfaction après livraison",
        type="link",
        questions=(
            _question(
                "rating-1-7",
                "Êtes-vous satisfait(e) de la livraison ?",
                labels=("Pas du tout", "Tout à fait"),
            ),
            _question("long-text", "Racontez-nous votre expérience"),
        ),
        responses=420,
        languages=(("fr", 0.9), ("nl", 0.1)),
        id_style="uuid",
        opened_days_ago=200,
    ),
    Blueprint(
        survey_id="1204509",
        name="アプリの使いやすさ",
        type="full_screen",
        questions=(
            _question("reaction", "このページはいかがでしたか?", required=True),
            _question("short-text", "ご意見をお聞かせください"),
        ),
        responses=310,
        pages=("/ja/cart", "/ja/search?q=%E3%82%B3%E3%83%BC%E3%83%92%E3%83%BC"),
        languages=(("ja", 0.85), ("en", 0.1), ("ko", 0.05)),
        opened_days_ago=120,
    ),
    Blueprint(
        survey_id="1204510",
        name="Onboarding research (every question type)",
        type="full_screen",
        questions=_EVERY_TYPE,
        responses=260,
        languages=_WORLD,
        is_sentiment_enabled=True,
        is_identified=True,
        opened_days_ago=90,
    ),
    Blueprint(
        survey_id="1204511",
        name="Cookie banner wording (test, stopped)",
        type="popover",
        questions=(_question("reaction-binary", "Is this banner clear?"),),
        responses=100,
        is_enabled=False,
        opened_days_ago=75,
        closed_days_ago=61,
    ),
    Blueprint(
        survey_id="1204512",
        name="Accessibility feedback",
        type="button",
        questions=(_question("long-text", "What made this page hard to use?"), _THANKS),
        responses=0,
        opened_days_ago=1,
    ),
    Blueprint(
        survey_id="1300201",
        name="Docs feedback",
        type="popover",
        questions=(
            _question("reaction-binary", "Did this page answer your question?"),
            _question("short-text", "What is missing?"),
        ),
        responses=60,
        site_id=SANDBOX_SECOND_SITE_ID,
        base_url=DOCS,
        pages=("/start", "/api/orders?version=3"),
        opened_days_ago=60,
    ),
    Blueprint(
        survey_id="1300202",
        name="API newsletter",
        type="link",
        questions=(_question("email", "Where should we send it?", required=True),),
        responses=7,
        site_id=SANDBOX_SECOND_SITE_ID,
        base_url=DOCS,
        opened_days_ago=30,
    ),
)


def default_blueprints() -> tuple[Blueprint, ...]:
    """Return the surveys of the default account, each question with its own id."""
    return tuple(with_question_ids(blueprint) for blueprint in _BLUEPRINTS)


def sized_blueprints(*, surveys: int, responses: int) -> tuple[Blueprint, ...]:
    """Return `surveys` surveys on the first site, each of exactly `responses` responses."""
    shapes = [shape for shape in _BLUEPRINTS if shape.questions and shape.responses]
    return tuple(
        with_question_ids(
            replace(
                shapes[index % len(shapes)],
                survey_id=str(1_400_001 + index),
                name=f"{shapes[index % len(shapes)].name} #{index + 1}",
                site_id=SANDBOX_SITE_ID,
                responses=responses,
            )
        )
        for index in range(surveys)
    )


def simple_blueprint(
    *, survey_id: str, name: str, survey_type: str, site_id: str, responses: int
) -> Blueprint:
    """Return a survey of a score and a reason, for one that is added while the server runs."""
    return with_question_ids(
        Blueprint(
            survey_id=survey_id,
            name=name,
            type=survey_type,
            questions=(_NPS, _WHY),
            responses=responses,
            site_id=site_id,
            opened_days_ago=30,
        )
    )


def with_question_ids(blueprint: Blueprint) -> Blueprint:
    """Return the blueprint with question ids that follow from the survey's id alone."""
    rng = Random(f"questions/{blueprint.survey_id}")
    return replace(
        blueprint,
        questions=tuple(
            question
            | {
                "id": f"question_{UUID(int=rng.getrandbits(128), version=4)}"
                if blueprint.id_style == "uuid"
                else str(rng.randrange(10**8, 10**9))
            }
            for question in blueprint.questions
        ),
    )
