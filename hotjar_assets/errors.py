"""Every error this package raises on purpose, split by what the caller should do about it.

    HotjarError                        catch-all of this package
      HotjarConfigError                a bad setting; names it; raised before any request
        HotjarSettingsError            several bad settings at once
        HotjarSourceError              a mistake in the YAML of streams; names file, line and field
      HotjarStoreError                 the database: locked past the deadline, full, not ours
      HotjarUnknownSurveyError         a partition key that is no survey of any site
      HotjarApiError                   carries method, URL without its query, page and request id
        HotjarTransportError           no answer: timeout, reset, cut body             -> retried
        HotjarBodyError                an answer that is not the JSON it should be     -> retried
        HotjarStatusError              any other unexpected status                     -> final
          HotjarAuthError              401 after one new token, 403, refused key       -> final
          HotjarNotFoundError          404                                             -> final
          HotjarRateLimitError         429                                             -> retried
          HotjarServerError            408, 5xx                                        -> retried
        HotjarTargetError              a URL that gets no credentials, so is not asked -> final
        HotjarPaginationError          a cursor that repeats, pages without end        -> final
        HotjarSchemaError              a documented field is missing or unusable       -> final
          HotjarLimitError             larger than a limit; names its setting          -> final

No message holds a secret, a token or anything a respondent wrote: a schema error shows the path of
a field and never its value.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from hotjar_assets.printable import printable


class HotjarError(Exception):
    """Catch-all of this package; its text is one line, safe to print and to log."""

    def __str__(self) -> str:
        """Return what happened."""
        return printable(super().__str__())

    @property
    def cause(self) -> str:
        """What happened, without where: the same for everything that fails for one reason."""
        return str(self)


class HotjarConfigError(HotjarError):
    """A setting is missing or malformed.

    Args:
        setting: The environment variable, for example `HOTJAR_SITE_ID`.
        problem: What is wrong with it and how to mend it.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting


class HotjarSettingsError(HotjarConfigError):
    """Some settings are missing or malformed.

    Args:
        problems: What is wrong with each and how to fix it, by environment variable; not empty.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        (setting, problem), *others = problems.items()
        lines = [f"{name}: {each}" for name, each in others]
        super().__init__(setting, "; ".join([problem, *lines]))
        self.lines = [printable(line) for line in (f"{setting}: {problem}", *lines)]


class HotjarSourceError(HotjarConfigError):
    """The YAML of a source of streams is wrong.

    Args:
        path: The file.
        line: Line of the mistake, from 1.
        field: Its place, for example `streams[orders].path`; empty for the whole file.
        problem: What is wrong and how to mend it.
    """

    def __init__(self, path: Path, line: int, field: str, problem: str) -> None:
        place = f"{path}:{line}"
        super().__init__(f"{place}: {field}" if field else place, " ".join(problem.split()))
        self.path = path
        self.line = line
        self.field = field


class HotjarStoreError(HotjarError):
    """The database cannot be used; the message says why and what to do. Nothing was changed."""


class HotjarUnknownSurveyError(HotjarError):
    """No configured site has a survey of this id.

    Args:
        survey_id: The survey.
        where: Where it was looked for: `on none of the sites 1, 2` or `not in the project 3`.
    """

    def __init__(self, survey_id: str, where: str) -> None:
        super().__init__(
            f"no such survey: {survey_id!r} is {where}, nor in the database; if it is of an "
            "account or platform that was read before, set HOTJAR_DATABASE to the file with its "
            "rows, else delete its partition in Dagster"
        )


class HotjarApiError(HotjarError):
    """A request to the API failed.

    The raiser knows what happened; the transport adds the request and the paginator the page, each
    through `locate`.
    """

    retryable = False

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.method: str | None = None
        self.url: str | None = None
        self.request_id: str | None = None
        self.page: int | None = None
        self.tries = 0
        self.hint = ""

    def locate(
        self,
        *,
        method: str | None = None,
        url: str | None = None,
        request_id: str | None = None,
        page: int | None = None,
        tries: int | None = None,
        hint: str | None = None,
    ) -> Self:
        """Add what an outer room knows about the place of the failure."""
        self.method = method or self.method
        self.url = url or self.url
        self.request_id = request_id or self.request_id
        self.page = page or self.page
        self.tries = tries or self.tries
        self.hint = hint or self.hint
        return self

    def cover(self, cover: Callable[[str], str]) -> Self:
        """Pass every text of the error through a function that removes secrets."""
        self.what = cover(self.what)
        self.args = (self.what,)
        self.request_id = self.request_id and cover(self.request_id)
        return self

    @property
    def cause(self) -> str:
        """What happened, without where: the same for everything that fails for one reason."""
        return printable(f"{self.what}; {self.hint}" if self.hint else self.what)

    def __str__(self) -> str:
        """Return what happened, then where."""
        where = [
            f"{self.method} {self.url}" if self.url else "",
            f"page {self.page}" if self.page else "",
            f"after {self.tries} tries" if self.tries > 1 else "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        place = ", ".join(part for part in where if part)
        located = f"{self.what} [{place}]" if place else self.what
        return printable(f"{located}; {self.hint}" if self.hint else located)


class HotjarTransportError(HotjarApiError):
    """No complete answer arrived."""

    retryable = True


class HotjarBodyError(HotjarApiError):
    """The answer is not the JSON it should be."""

    retryable = True


class HotjarStatusError(HotjarApiError):
    """The API answered with a status that is not a success.

    Args:
        what: What it means and what to do.
        status: The HTTP status.
        error_code: The `error` of the answer, if it is a known code.
        retry_after_seconds: What `Retry-After` asked for, if anything.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int,
        error_code: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{what} (HTTP {status}{f': {error_code}' if error_code else ''})")
        self.status = status
        self.error_code = error_code
        self.retry_after_seconds = retry_after_seconds


class HotjarAuthError(HotjarStatusError):
    """The credentials, the key's age or the plan do not allow the request."""


class HotjarNotFoundError(HotjarStatusError):
    """The site or the survey does not exist."""


class HotjarRateLimitError(HotjarStatusError):
    """Too many requests; `retry_after_seconds` is set when the API said how long to wait."""

    retryable = True


class HotjarServerError(HotjarStatusError):
    """The API failed on its side."""

    retryable = True


class HotjarTargetError(HotjarApiError):
    """An answer named a URL that may not be requested; nothing was sent to it."""


class HotjarPaginationError(HotjarApiError):
    """Following the cursors would never end."""


class HotjarSchemaError(HotjarApiError):
    """A documented field is missing or of another type.

    Args:
        path: Where it is in the answer, for example `results[3].created_time`.
        problem: What is wrong with it, without its value.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path

    def cover(self, cover: Callable[[str], str]) -> Self:
        """Pass every text of the error through a function that removes secrets."""
        self.path = cover(self.path)
        return super().cover(cover)


class HotjarLimitError(HotjarSchemaError):
    """An answer, a file or a table is larger than is allowed.

    Args:
        path: Where, for example `body` or `line 3`.
        problem: What is too large, without any value.
        limit: How much is allowed.
        setting: The environment variable with this limit; empty where it is fixed.
    """

    def __init__(self, path: str, problem: str, *, limit: int | str, setting: str = "") -> None:
        allowed = (
            f"{setting} is {limit}; set it higher if this is right"
            if setting
            else f"the limit is {limit}"
        )
        super().__init__(path, f"{problem}; {allowed}")
