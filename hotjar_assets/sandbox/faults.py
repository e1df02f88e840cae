"""What can go wrong on purpose: which requests a fault hits, and in what way.

A fault is data; how it changes an answer is decided in `app`. Add one to a running server:

    server.faults.add(Fault("500", path="responses", survey_id="1204501", page=2, times=2))
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Platform = Literal["hotjar", "contentsquare"]
PathKind = Literal[
    "token",
    "surveys",
    "survey",
    "responses",
    "user_lookup",
    "login",
    "polls",
    "poll",
    "questions",
    "export",
    "download",
    "any",
]
FaultKind = Literal[
    "400",
    "401",
    "403",
    "404",
    "429",
    "500",
    "502",
    "503",
    "504",
    "bom",
    "content_type",
    "cursor_absent",
    "cursor_empty",
    "cut",
    "cycle_cursor",
    "disconnect",
    "download_url_missing",
    "duplicate_rows",
    "empty_page",
    "html",
    "huge",
    "invalid_json",
    "mutate_rows",
    "overlap",
    "raw_body",
    "redirect_other_host",
    "redirect_same_host",
    "repeat_cursor",
    "results_missing",
    "results_null",
    "slow",
    "sso",
    "two_factor",
    "unsorted",
]

LIST_KINDS: frozenset[str] = frozenset(
    {
        "cursor_absent",
        "cursor_empty",
        "cycle_cursor",
        "duplicate_rows",
        "empty_page",
        "mutate_rows",
        "overlap",
        "repeat_cursor",
        "results_missing",
        "results_null",
        "unsorted",
    }
)
"""Faults of a page of rows; they hit the two listings alone."""

_END_KINDS: frozenset[str] = frozenset({"cursor_absent", "cursor_empty"})
_FIRST_PAGE: dict[str, int] = {"repeat_cursor": 2, "overlap": 2, "cycle_cursor": 3}
_ONLY_PATH: dict[str, PathKind] = {
    "download_url_missing": "export",
    "sso": "login",
    "two_factor": "login",
}
_REQUIRED: dict[str, str] = {
    "mutate_rows": "transform",
    "redirect_other_host": "location",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks for, as far as a fault cares.

    Attributes:
        path: The kind of path; "any" for a path the API does not have.
        site_id: The site in the path, or the project.
        survey_id: The survey in the path.
        page: The page's number within its walk, from 1; None where there are no pages.
        is_last: Whether the listing ends with this page.
        is_redirected: Whether a redirect of the sandbox led here.
        platform: Whose API the path is of.
    """

    path: PathKind
    site_id: str | None = None
    survey_id: str | None = None
    page: int | None = None
    is_last: bool = False
    is_redirected: bool = False
    platform: Platform = "hotjar"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong.

    Kinds:
        "400" … "504": that status with a JSON error; 429 and 5xx may carry `retry_after`.
        "cut": the right Content-Length, half of the body, then the connection closes.
        "disconnect": the connection closes without an answer.
        "html": status 200 and an HTML page. "invalid_json": the answer breaks off half-way, but
            Content-Length agrees. "bom": a byte order mark comes first. "content_type": the
            right body as text/plain. "huge": valid JSON of `size_bytes` bytes.
            "raw_body": `body` with `status` and `content_type`, as given.
        "redirect_same_host": a 307 to the same page, which then answers.
            "redirect_other_host": a 307 to `location`.
        "slow": waits `delay_seconds` first; another fault may hit the same request.
        "results_missing", "results_null": a page without `results`, or with null.
        "repeat_cursor": from page 2 on, `next_cursor` is the cursor just used.
            "cycle_cursor": from page 3 on, it is the one that led to page 2.
        "cursor_absent", "cursor_empty": at the end, or on `page`, there is no `next_cursor`, or "".
        "empty_page": no rows and a fresh cursor; the rows come after it. For ever without `times`.
        "overlap": from page 2 on, a page begins with the last `rows` rows of the one before.
        "duplicate_rows": every row twice. "unsorted": the rows of a page shuffled.
        "mutate_rows": the rows of a page are what `transform` makes of them (in-process only).
        "sso", "two_factor": a login is answered with what else it would take, and no session.
        "download_url_missing": an export is answered without its `download_url`.

    Attributes:
        kind: What goes wrong.
        path: Which kind of request it hits.
        site_id: Hit only this site.
        survey_id: Hit only this survey.
        page: Hit only this page of a walk, from 1.
        times: Hit this many requests; None for all.
        after: Let this many matching requests pass first.
        retry_after: The Retry-After header: seconds, or a text such as an HTTP date.
        location: The Location header of "redirect_other_host".
        delay_seconds: How long "slow" waits.
        rows: How many rows "overlap" repeats.
        size_bytes: How large the body of "huge" is.
        body: The body of "raw_body".
        status: The status of "raw_body".
        content_type: The Content-Type of "raw_body".
        transform: Rows to rows, for "mutate_rows".
    """

    kind: FaultKind
    path: PathKind = "any"
    site_id: str | None = None
    survey_id: str | None = None
    page: int | None = None
    times: int | None = None
    after: int = 0
    retry_after: int | str | None = None
    location: str | None = None
    delay_seconds: float = 0.0
    rows: int = 1
    size_bytes: int = 1_000_000
    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    transform: Callable[[list[Any]], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse a fault that could never hit or would not know what to answer."""
        if self.kind not in get_args(FaultKind):
            message = f"unknown fault kind {self.kind!r}; one of {', '.join(get_args(FaultKind))}"
            raise ValueError(message)
        if self.path not in get_args(PathKind):
            message = f"unknown path {self.path!r}; one of {', '.join(get_args(PathKind))}"
            raise ValueError(message)
        required = _REQUIRED.get(self.kind)
        if required is not None and getattr(self, required) is None:
            message = f"fault {self.kind!r} needs {required}"
            raise ValueError(message)
        if self.kind in LIST_KINDS and self.path not in {"surveys", "responses", "any"}:
            message = f"fault {self.kind!r} hits listings, not path {self.path!r}"
            raise ValueError(message)
        if self.path != _ONLY_PATH.get(self.kind, self.path):
            message = f"fault {self.kind!r} hits path {_ONLY_PATH[self.kind]!r} alone"
            raise ValueError(message)
        if self.page is not None and self.page < _FIRST_PAGE.get(self.kind, 1):
            message = f"fault {self.kind!r} cannot hit page {self.page}"
            raise ValueError(message)

    def hits(self, target: Target) -> bool:
        """Say whether the fault is meant for such a request."""
        if self.path not in {"any", target.path}:
            return False
        for wanted, actual in (
            (self.site_id, target.site_id),
            (self.survey_id, target.survey_id),
            (self.page, target.page),
        ):
            if wanted is not None and wanted != actual:
                return False
        if self.kind == "redirect_same_host":
            return not target.is_redirected
        if self.kind not in LIST_KINDS:
            return True
        if target.page is None or target.page < _FIRST_PAGE.get(self.kind, 1):
            return False
        return self.kind not in _END_KINDS or self.page is not None or target.is_last


@dataclass(slots=True)
class _Planned:
    fault: Fault
    seen: int = 0
    hits: int = 0


class Faults:
    """The faults of a server, in order; may be changed from any thread while it runs."""

    def __init__(self) -> None:
        """Begin without faults."""
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def add(self, *faults: Fault) -> None:
        """Add faults after those that are there."""
        with self._lock:
            self._planned += [_Planned(fault) for fault in faults]

    def remove(self, fault: Fault) -> None:
        """Remove a fault, wherever it stands."""
        with self._lock:
            self._planned = [planned for planned in self._planned if planned.fault != fault]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._planned = []

    def hits(self, fault: Fault) -> int:
        """Return how many requests the fault has hit."""
        with self._lock:
            return sum(planned.hits for planned in self._planned if planned.fault == fault)

    def __iter__(self) -> Iterator[Fault]:
        """Iterate over the faults, used up or not."""
        with self._lock:
            return iter([planned.fault for planned in self._planned])

    def __len__(self) -> int:
        """Return how many faults there are, used up or not."""
        return len(self._planned)

    def strike(self, target: Target) -> list[Fault]:
        """Return what hits this request and count it: any "slow" ones, then at most one other."""
        struck: list[Fault] = []
        with self._lock:
            for planned in self._planned:
                fault = planned.fault
                if not fault.hits(target):
                    continue
                planned.seen += 1
                is_used_up = fault.times is not None and planned.hits >= fault.times
                if planned.seen <= fault.after or is_used_up:
                    continue
                planned.hits += 1
                struck.append(fault)
                if fault.kind != "slow":
                    break
        return struck
