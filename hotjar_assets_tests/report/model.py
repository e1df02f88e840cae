"""Tables of accounts that a report must stand, without Dagster and dbt, and what a page holds."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hotjar_assets.privacy import Privacy
from hotjar_assets.report.page import render
from hotjar_assets.sandbox import SandboxAccount, SandboxServer
from hotjar_assets.sync import Depth
from hotjar_assets.warehouse.counting import read_summaries
from hotjar_assets.warehouse.summaries import Summaries
from hotjar_assets_tests.store.conftest import CLOCK, Store, new_client

TODAY = CLOCK.date()
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
SCRIPT = "<script>document.title = 'owned'</script>"
IMAGE = "\"'><img src=https://evil.example/x onerror=alert(1)>"
ARABIC = "ما رأيك في الموقع؟"
LONG = "A sentence that goes on. " * 400
WORD = "Donaudampfschifffahrtsgesellschaftskapitän" * 40


def stored(
    account: SandboxAccount,
    path: Path,
    *,
    then: Callable[[SandboxAccount], None] | None = None,
    privacy: Privacy | None = None,
) -> Path:
    """Sync an account whole; if something happens then, once more."""
    with SandboxServer(account) as server:
        client = new_client(server)
        store = Store(client, path)
        if privacy:
            store.warehouse.adopt(privacy, rewrite=False)
        options: dict[str, Any] = {"privacy": privacy} if privacy else {}
        store.list_surveys()
        ids = [survey["id"] for survey in account.surveys()]
        store.sync(*ids, depth=Depth.ALL, **options)
        if then:
            then(account)
            store.list_surveys()
            store.sync(*ids, depth=Depth.ALL, **options)
        client.close()
    return path


def summaries(path: Path, **options: Any) -> Summaries:
    given: dict[str, Any] = {"lock_timeout_seconds": 5.0, "today": TODAY} | options
    return read_summaries(path, **given)


def page(path: Path, **options: Any) -> str:
    made_at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    return render(summaries(path, **options), database=path, made_at=made_at)


def question(kind: str, text: str, question_id: str, choices: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "id": question_id,
        "type": kind,
        "text": text,
        "is_required": False,
        "choices": list(choices) or None,
        "labels": None,
    }


def answer(question_id: str, said: str | None, **more: Any) -> dict[str, Any]:
    return {"question_id": question_id, "answer": said, "tags": [], "sentiment": None} | more


def hard_account() -> SandboxAccount:
    """Return surveys that are hard to show: hostile, empty, tiny, huge, right to left."""
    account = SandboxAccount(clock=CLOCK, blueprints=())
    account.add_survey(
        f"Hostile {SCRIPT}",
        survey_id="1",
        questions=[
            question("long-text", f"Why? {SCRIPT}", "11"),
            question("single-option", IMAGE, "12", [SCRIPT, IMAGE, "Other"]),
            question("nps", "How likely?", "13"),
        ],
    )
    for number in range(12):
        account.add_responses(
            "1",
            answers=[
                answer("11", f"{SCRIPT} & <b>bold</b>", tags=[{"name": IMAGE}]),
                answer("12", SCRIPT, comment=IMAGE),
                answer("13", str(number % 11)),
            ],
        )
    account.add_responses(
        "1",
        answers=[answer("11", "write to jo@example.com!"), answer("12", "in my own words")],
    )
    account.add_responses("1", answers=[answer("11", "jo@example.com")])
    account.add_survey("Nobody answered", survey_id="2")
    account.add_survey("One answer", survey_id="3", questions=[question("nps", "How?", "31")])
    account.add_responses("3", answers=[answer("31", "10")])
    account.add_survey(ARABIC, survey_id="4", questions=[question("long-text", ARABIC, "41")])
    account.add_responses("4", answers=[answer("41", f"👩‍👩‍👧 {ARABIC}", sentiment="positive")])
    account.add_responses("4", answers=[answer("41", LONG), answer("41", WORD)])
    account.add_survey(
        "Many questions",
        survey_id="5",
        questions=[
            question(("nps", "rating-1-5", "short-text", "reaction")[n % 4], f"Q {n}", f"5{n}")
            for n in range(200)
        ],
    )
    for score in ("1", "5", "3"):
        account.add_responses("5", answers=[answer(f"5{n}", score) for n in range(200)])
    return account


@dataclass
class Page(HTMLParser):
    """What a page is made of.

    Attributes:
        tags: How often each element stands there.
        attributes: Every attribute, with its element.
        headings: Level of each heading, in order.
        text: All text but that of the style.
    """

    html: str
    tags: Counter[str] = field(default_factory=Counter)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    text: str = ""
    style: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self.feed(self.html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.style += data
        else:
            self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, found, value in self.attributes if found == name]


def first_of(period: str, day: date) -> date:
    """Return the first day of a period, worked out without SQL."""
    if period == "month":
        return day.replace(day=1)
    return date.fromordinal(day.toordinal() - day.weekday()) if period == "week" else day
