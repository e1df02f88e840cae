"""Every setting, once: environment variable, type, unit, default and validation.

Nothing here reads a file or makes a request, except `make_database_folder`. Settings come from the
environment (or from `.env`, which the command line and `dagster dev` load before they come here).
"""

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hotjar_assets.did_you_mean import nearest
from hotjar_assets.errors import HotjarConfigError, HotjarSettingsError
from hotjar_assets.private_files import owner_only

ENVIRONMENT_PREFIX = "HOTJAR_"
REAL_DATABASE = "data/warehouse.duckdb"
SANDBOX_DATABASE = "data/sandbox.duckdb"
SANDBOX_INSIGHTS_DATABASE = "data/sandbox-insights.duckdb"
EVERY_RESPONSE = '{"sort_by":"-index","clauses":[]}'
"""The survey_query that leaves nothing out, newest first."""
_MISREAD_BY_DUCKDB = "?\\"


class Source(StrEnum):
    """Where surveys and responses are read."""

    API = "api"
    INSIGHTS = "insights"


class Platform(StrEnum):
    """Whose API the account is read from."""

    HOTJAR = "hotjar"
    CONTENTSQUARE = "contentsquare"


API_URLS: dict[tuple[str, str], str] = {
    ("hotjar", "api"): "https://api.hotjar.io",
    ("hotjar", "insights"): "https://insights.hotjar.com",
    ("contentsquare", "api"): "https://api.contentsquare.com",
}
"""Base URL of each platform and source, where the settings give none."""


class PiiMode(Enum):
    """What is stored of personal values."""

    KEEP = "keep"
    HASH = "hash"
    DROP = "drop"


def environment_variable(name: str) -> str:
    """Return the environment variable of a setting: `site_id` is `HOTJAR_SITE_ID`."""
    return ENVIRONMENT_PREFIX + name.upper()


def is_id(text: str) -> bool:
    """Tell whether a text may be the id of a site or a survey."""
    return re.fullmatch(r"[\w.~-]+", text, re.ASCII) is not None


def _split_ids(value: object) -> object:
    if not isinstance(value, str):
        return value
    ids = [item.strip() for item in value.split(",")]
    if not all(is_id(item) for item in ids):
        problem = "holds an empty or malformed item; write ids separated by single commas"
        raise ValueError(problem)
    return tuple(dict.fromkeys(ids))


def _split_owners(value: object) -> object:
    if not isinstance(value, str):
        return value
    owners = [item.strip() for item in value.split(",")]
    for owner in owners:
        if not re.fullmatch(r"team:\S.*|[^@\s,]+@[^@\s,.]+(\.[^@\s,.]+)+", owner):
            problem = f"{owner!r} is no owner; write e-mail addresses or team:NAME, by commas"
            raise ValueError(problem)
    return tuple(dict.fromkeys(owners))


def _check_project_id(value: str) -> str:
    if not re.fullmatch(r"[\w.~-]+", value, re.ASCII):
        problem = "is malformed; write the id of one project"
        raise ValueError(problem)
    return value


def _check_sendable(value: str) -> str:
    if not value.isprintable():
        problem = "holds a line break or a control character, which no request can hold"
        raise ValueError(problem)
    return value


Secret = Annotated[str, AfterValidator(_check_sendable)]
"""What is sent to log in."""


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(
    value: str, *, example: str = "https://api.hotjar.io", sends_credentials: bool = True
) -> str:
    """Return a base URL without the slash at its end.

    Args:
        value: The URL.
        example: What one looks like, for the error.
        sends_credentials: Whether they go there, which asks for https.

    Raises:
        ValueError: It is none, or holds or endangers credentials.
    """
    if not value.isprintable() or "\\" in value or " " in value:
        problem = f"holds a backslash, a blank or a control character; it must look like {example}"
        raise ValueError(problem)
    url = urlsplit(value)
    try:
        url.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        problem = f"has a port that is none; it must look like {example}"
        raise ValueError(problem) from None
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        problem = f"must look like {example}"
        raise ValueError(problem)
    if url.username or url.password:
        problem = "must not hold credentials"
        raise ValueError(problem)
    if url.scheme == "http" and sends_credentials and not is_loopback(url.hostname):
        problem = "must be https: credentials are sent to it (http is for this machine alone)"
        raise ValueError(problem)
    return value.rstrip("/")


def _check_json_object(value: str) -> str:
    problem = f"must be a JSON object such as {EVERY_RESPONSE}"
    try:
        is_object = isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        raise ValueError(problem) from None
    if not is_object:
        raise ValueError(problem)
    return value


_PROBLEMS = {
    "bool_parsing": "must be 1 or 0",
    "date_from_datetime_inexact": "must be a day, such as 2026-01-31",
    "date_from_datetime_parsing": "must be a day, such as 2026-01-31",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "less_than_equal": "must be {le} or less",
    "string_too_short": "must have {min_length} characters or more",
}
"""What is wrong with a value, in words of its own for each kind of mistake that pydantic tells."""


def _problem(error: Mapping[str, Any]) -> str:
    """Say what a setting must be, and never what it is."""
    context = error.get("ctx", {})
    if error["type"] == "enum":
        return f"must be {str(context['expected']).replace(chr(39), '')}"
    if error["type"] in _PROBLEMS:
        return _PROBLEMS[error["type"]].format(**context)
    return str(error["msg"]).removeprefix("Value error, ")


class Settings(BaseModel):
    """The settings of one account and its database, validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    platform: Platform = Field(
        default=Platform.HOTJAR,
        description="Whose API the account is read from: hotjar or contentsquare.",
    )
    client_id: Secret | None = Field(
        default=None, description="Client id of the API key (Hotjar: Settings, API access)."
    )
    client_secret: Secret | None = Field(
        default=None, repr=False, description="Client secret of the API key."
    )
    site_id: Annotated[tuple[str, ...], BeforeValidator(_split_ids)] = Field(
        default=(), description="Site id, or several separated by commas; of Hotjar alone."
    )
    project_id: Annotated[str, AfterValidator(_check_project_id)] | None = Field(
        default=None, description="Project id; of Contentsquare alone."
    )
    api_url: Annotated[str, AfterValidator(check_url)] = Field(
        default=API_URLS["hotjar", "api"],
        description="Base URL of the API; the default follows from the platform and the source.",
    )
    source: Source = Field(
        default=Source.API,
        description="What is read: the API (needs its plan), or the export of insights.hotjar.com.",
    )
    email: Secret | None = Field(
        default=None, repr=False, description="E-mail of the login that the export needs."
    )
    password: Secret | None = Field(default=None, repr=False, description="Password of that login.")
    survey_query: Annotated[str, AfterValidator(_check_json_object)] = Field(
        default=EVERY_RESPONSE,
        description="Which responses are exported: the survey_query of Insights, a JSON object.",
    )
    database: str | None = Field(
        default=None,
        description=f"Path of the DuckDB file; default {REAL_DATABASE}, "
        f"or {SANDBOX_DATABASE} for the sandbox.",
    )
    requests_per_minute: int = Field(
        default=3000, ge=1, description="Requests per minute that the account allows."
    )
    concurrency: int = Field(default=8, ge=1, le=64, description="Surveys read at once.")
    lookback_days: int = Field(
        default=7, ge=1, le=36500, description="Days that the daily lookback reads again."
    )
    start_date: date | None = Field(
        default=None, description="Read no response older than this day (YYYY-MM-DD, UTC)."
    )
    pii: PiiMode = Field(
        default=PiiMode.KEEP,
        description="What is stored of personal values: keep, hash (needs the key) or drop.",
    )
    pii_key: str | None = Field(
        default=None,
        repr=False,
        min_length=16,
        description="Key of the hash, 16 characters or more; the same for ever, so that rows join.",
    )
    key_created_on: date | None = Field(
        default=None,
        description="Day the API key was made (YYYY-MM-DD); it expires a year later.",
    )
    organization_id: str | None = Field(
        default=None, description="Organization id, which only `forget --at-hotjar` needs."
    )
    lock_timeout_seconds: int = Field(
        default=60, ge=0, description="Seconds to wait for a database that another process holds."
    )
    max_answer_mb: int = Field(
        default=96,
        ge=1,
        le=1024**2,
        description="MiB of memory that one answer of an API may take once it is unpacked and "
        "parsed, or the listing of a site's surveys; the answer itself may have a third of it.",
    )
    max_export_mb: int = Field(
        default=2048,
        ge=1,
        le=1024**2,
        description="MiB that an Insights export, or an answer of CSV or JSON lines that a stream "
        "reads in parts, may have once it is unpacked.",
    )
    max_columns: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="Columns that the table of a stream, or an Insights export, may have.",
    )
    max_commit_mb: int = Field(
        default=200,
        ge=80,
        le=1024**2,
        description="MiB of memory that DuckDB may take to store the rows of a survey or stream; "
        "what does not fit waits on the disk, but very long values must fit.",
    )
    max_models_mb: int = Field(
        default=512,
        ge=128,
        le=1024**2,
        description="MiB of memory that DuckDB may take while dbt makes the models; what does not "
        "fit waits on the disk, beside the database.",
    )
    progress_seconds: int = Field(
        default=10,
        ge=0,
        le=86400,
        description="Seconds between the lines that say how far a sync is, where the command line "
        "has no terminal; 0: none.",
    )
    streams: str = Field(
        default="streams", description="Folder of the YAML files that describe further APIs."
    )
    owners: Annotated[tuple[str, ...], BeforeValidator(_split_owners)] = Field(
        default=(),
        description="Who answers for the assets, in Dagster's catalogue: e-mail addresses or "
        "team:NAME, separated by commas.",
    )
    automation: bool = Field(
        default=False,
        description="1 = declarative automation instead of the hourly schedule and models_sensor.",
    )
    sandbox: bool = Field(
        default=False, description="1 = use the built-in sandbox account, which starts by itself."
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_api_url(cls, values: dict[str, object]) -> dict[str, object]:
        """Give each API its own default; a platform or source that is none is refused later."""
        platform, source = values.get("platform", "hotjar"), values.get("source", "api")
        default = API_URLS.get((str(platform), str(source)))
        return {"api_url": default, **values} if default else values

    @model_validator(mode="after")
    def _refuse_unknown_accounts(self) -> Self:
        if self.platform is Platform.CONTENTSQUARE and self.source is Source.INSIGHTS:
            raise HotjarConfigError(
                environment_variable("source"),
                "insights is Hotjar's; Contentsquare has the API alone (set it to api)",
            )
        return self

    @classmethod
    def parse(cls, values: Mapping[str, object], *, needs_account: bool = True) -> Self:
        """Validate settings given by field name.

        Args:
            values: The settings.
            needs_account: Whether requests will be made, so that credentials must be there.

        Raises:
            HotjarSettingsError: Names each setting that is missing or malformed.
            HotjarConfigError: The platform does not have the source.
        """
        missing = _missing(values, needs_account=needs_account)
        try:
            settings = cls.model_validate(dict(values))
        except ValidationError as error:
            malformed = {
                environment_variable(str(each["loc"][0])): _problem(each)
                for each in error.errors(include_url=False, include_input=False)
            }
            raise HotjarSettingsError(malformed | missing) from None
        if missing:
            raise HotjarSettingsError(missing)
        return settings

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ, *, needs_account: bool = True
    ) -> Self:
        """Validate the settings found in the environment; an empty variable counts as unset.

        Raises:
            HotjarConfigError: Names the settings that are missing or malformed.
        """
        given = {name: environ[environment_variable(name)] for name in set_names(environ)}
        return cls.parse(given, needs_account=needs_account)

    @property
    def database_path(self) -> Path:
        """Path of the DuckDB file."""
        return Path(self.database or default_database(sandbox=self.sandbox, source=self.source))

    @property
    def site_ids(self) -> tuple[str, ...]:
        """The ids that stand in `site_id`: the sites of Hotjar, the project of Contentsquare."""
        return self.site_id if self.platform is Platform.HOTJAR else (str(self.project_id),)

    @property
    def start_at(self) -> datetime | None:
        """The first instant of `start_date`, UTC."""
        if self.start_date is None:
            return None
        return datetime.combine(self.start_date, time(), tzinfo=UTC)


_FOUND_AT = {
    "client_id": "of the API key: in Hotjar, organization settings, API access",
    "client_secret": "of the API key: shown once, when the key is made",
    "site_id": "the number in the address of the site's pages in Hotjar",
    "project_id": "the id of the project in Contentsquare",
    "email": "of a login at insights.hotjar.com, without SSO",
    "password": "of a login at insights.hotjar.com, without SSO",
}
"""What the settings are that an account needs, and where people find them."""


def _missing(values: Mapping[str, object], *, needs_account: bool) -> dict[str, str]:
    """Return what must be done about each setting that is missing, by environment variable."""
    missing = {}
    if needs_account and not _is_true(values.get("sandbox")):
        required = required_names(str(values.get("platform")), str(values.get("source")))
        missing = {
            name: f"is not set; put it into the environment or .env ({_FOUND_AT[name]})"
            for name in required
            if not values.get(name)
        }
    if missing:
        missing[[*missing][-1]] += ", or set HOTJAR_SANDBOX=1 to try the sandbox"
    if values.get("pii") in {PiiMode.HASH, PiiMode.HASH.value} and not values.get("pii_key"):
        problem = "is not set; HOTJAR_PII=hash needs it (16 characters or more, kept safe)"
        missing["pii_key"] = problem
    return {environment_variable(name): problem for name, problem in missing.items()}


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Map each variable that looks like a setting and is none to the setting that is most alike."""
    known = {environment_variable(name) for name in Settings.model_fields}
    unknown = {}
    for variable in sorted(environ):
        # Names of variables are in capitals, and others are of another name.
        if variable.upper().startswith(ENVIRONMENT_PREFIX) and variable not in known:
            name = nearest(variable[len(ENVIRONMENT_PREFIX) :], Settings.model_fields)
            unknown[variable] = environment_variable(name) if name else None
    return unknown


def set_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """List the settings (by field name) that the environment gives a value."""
    return [
        name
        for name in Settings.model_fields
        if environ.get(environment_variable(name), "").strip()
    ]


def required_names(platform: str, source: str) -> tuple[str, ...]:
    """Name the settings (by field name) without which an account is unknown."""
    if source == Source.INSIGHTS:
        return ("email", "password", "site_id")
    return ("client_id", "client_secret", place_name(platform))


def place_name(platform: str) -> str:
    """Name the setting (by field name) of what holds an account's surveys."""
    return "project_id" if platform == Platform.CONTENTSQUARE else "site_id"


def wanted_source(environ: Mapping[str, str] = os.environ) -> Source:
    """Tell which source the environment asks for, before anything is validated."""
    value = environ.get(environment_variable("source"))
    return Source.INSIGHTS if value == Source.INSIGHTS.value else Source.API


def is_sandbox(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment asks for the sandbox, before anything is validated."""
    return _is_on("sandbox", environ)


def is_automated(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment asks for declarative automation, before any validation."""
    return _is_on("automation", environ)


def _is_on(name: str, environ: Mapping[str, str]) -> bool:
    return _is_true(environ.get(environment_variable(name), ""))


def _is_true(value: object) -> bool:
    return str(value).strip().lower() in {"1", "true", "t", "yes", "y", "on"}


def streams_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of streams, which need no account."""
    given = environ.get(environment_variable("streams"), "").strip()
    return Path(given or Settings.model_fields["streams"].default)


def given_limits(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return settings of which only the limits (`max_…`) are read: streams need no account.

    Raises:
        HotjarConfigError: One of them is not a number in its range.
    """
    return _given("max_", environ)


def given_pii(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return settings of which only the privacy mode and its key are read.

    Raises:
        HotjarConfigError: The mode is unknown, or has no key.
    """
    return _given("pii", environ)


def _given(prefix: str, environ: Mapping[str, str]) -> Settings:
    names = [name for name in set_names(environ) if name.startswith(prefix)]
    given = {name: environ[environment_variable(name)] for name in names}
    return Settings.parse(given, needs_account=False)


def given_owners(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the owners that the environment names, which need no account.

    Raises:
        HotjarConfigError: One of them is neither an e-mail address nor a team.
    """
    variable = environment_variable("owners")
    given = environ.get(variable, "").strip()
    return Settings.parse({"owners": given}, needs_account=False).owners if given else ()


def default_database(*, sandbox: bool, source: Source = Source.API) -> str:
    """Return the default path: the sandbox and a real account never share a file."""
    if sandbox and source is Source.INSIGHTS:
        return SANDBOX_INSIGHTS_DATABASE
    return SANDBOX_DATABASE if sandbox else REAL_DATABASE


def given_database(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path that the environment names, or the default one, before any validation."""
    given = environ.get(environment_variable("database"), "").strip()
    default = default_database(sandbox=is_sandbox(environ), source=wanted_source(environ))
    return Path(given or default)


def make_database_folder(database: Path) -> None:
    """Make the folder of the database if it is missing; only its owner can enter a new one.

    Raises:
        HotjarConfigError: It cannot be made or written to, or the path is a folder, or DuckDB
            cannot open a file of this path.
    """
    setting, folder = environment_variable("database"), database.absolute().parent
    if database.is_dir():
        raise HotjarConfigError(setting, f"{database} is a folder; name a file in it")
    if set(_MISREAD_BY_DUCKDB) & set(str(database.absolute())):
        problem = "has a ? or a backslash, which DuckDB takes for part of a URL or for a slash"
        raise HotjarConfigError(setting, f"{database.absolute()} {problem}; choose another")
    if "${" in str(database):
        problem = "a ${NAME} in it is not replaced; write the whole path"
        raise HotjarConfigError(setting, problem)
    try:
        with owner_only():
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"the folder {folder} cannot be made ({error.strerror}); choose another"
        raise HotjarConfigError(setting, problem) from error
    if str(database).startswith(":memory:"):
        raise HotjarConfigError(setting, "rows kept in memory would be lost; name a file")
    unwritable = next(
        (path for path in (folder, database) if path.exists() and not os.access(path, os.W_OK)),
        None,
    )
    if unwritable:
        problem = f"{unwritable} is not writable for this user; choose another path"
        raise HotjarConfigError(setting, problem)
