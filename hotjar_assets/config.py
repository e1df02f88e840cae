"""Every setting, once: environment variable, type, unit, default and validation.

Nothing here reads a file or makes a request, except `make_database_folder`. Settings come from the
environment (or from `.env`, which the command line and `dagster dev` load before they come here).
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from enum import Enum
from pathlib import Path
from typing import Annotated, Self
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

from hotjar_assets.errors import HotjarConfigError

ENVIRONMENT_PREFIX = "HOTJAR_"
REAL_DATABASE = "data/warehouse.duckdb"
SANDBOX_DATABASE = "data/sandbox.duckdb"


class PiiMode(Enum):
    """What is stored of personal values."""

    KEEP = "keep"
    HASH = "hash"
    DROP = "drop"


def environment_variable(name: str) -> str:
    """Return the environment variable of a setting: `site_id` is `HOTJAR_SITE_ID`."""
    return ENVIRONMENT_PREFIX + name.upper()


def _split_ids(value: object) -> object:
    if not isinstance(value, str):
        return value
    ids = [item.strip() for item in value.split(",")]
    if not all(re.fullmatch(r"[\w.~-]+", item, re.ASCII) for item in ids):
        problem = "holds an empty or malformed item; write ids separated by single commas"
        raise ValueError(problem)
    return tuple(dict.fromkeys(ids))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_url(value: str) -> str:
    url = urlsplit(value)
    try:
        url.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        problem = "has a port that is none; it must look like https://api.hotjar.io"
        raise ValueError(problem) from None
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        problem = "must look like https://api.hotjar.io"
        raise ValueError(problem)
    if url.username or url.password:
        problem = "must not hold credentials"
        raise ValueError(problem)
    if url.scheme == "http" and not _is_loopback(url.hostname):
        problem = "must be https: credentials are sent to it (http is for this machine alone)"
        raise ValueError(problem)
    return value.rstrip("/")


class Settings(BaseModel):
    """The settings of one account and its database, validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    client_id: str | None = Field(
        default=None, description="Client id of the API key (Hotjar: Settings, API access)."
    )
    client_secret: str | None = Field(
        default=None, repr=False, description="Client secret of the API key."
    )
    site_id: Annotated[tuple[str, ...], BeforeValidator(_split_ids)] = Field(
        default=(), description="Site id, or several separated by commas."
    )
    api_url: Annotated[str, AfterValidator(_check_url)] = Field(
        default="https://api.hotjar.io", description="Base URL of the API."
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
        default=None, description="Day the API key was made (YYYY-MM-DD); it dies a year later."
    )
    organization_id: str | None = Field(
        default=None, description="Organization id, which only `forget --at-hotjar` needs."
    )
    lock_timeout_seconds: int = Field(
        default=60, ge=0, description="Seconds to wait for a database that another process holds."
    )
    sandbox: bool = Field(
        default=False, description="1 = use the built-in sandbox account, which starts by itself."
    )

    @model_validator(mode="after")
    def _require_account(self) -> Self:
        if not self.sandbox:
            for name in ("client_id", "client_secret", "site_id"):
                if not getattr(self, name):
                    raise HotjarConfigError(
                        environment_variable(name),
                        "is not set; put it into the environment or .env "
                        "(or set HOTJAR_SANDBOX=1 to try the sandbox)",
                    )
        return self

    @model_validator(mode="after")
    def _require_pii_key(self) -> Self:
        if self.pii is PiiMode.HASH and not self.pii_key:
            raise HotjarConfigError(
                environment_variable("pii_key"),
                "is not set; HOTJAR_PII=hash needs it (16 characters or more, kept safe)",
            )
        return self

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Validate settings given by field name.

        Raises:
            HotjarConfigError: Names the first setting that is missing or malformed.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            problem = first["msg"].removeprefix("Value error, ")
            raise HotjarConfigError(environment_variable(str(first["loc"][0])), problem) from None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Validate the settings found in the environment; an empty variable counts as unset.

        Raises:
            HotjarConfigError: Names the first setting that is missing or malformed.
        """
        return cls.parse({name: environ[environment_variable(name)] for name in set_names(environ)})

    @property
    def database_path(self) -> Path:
        """Path of the DuckDB file."""
        return Path(self.database or default_database(sandbox=self.sandbox))

    @property
    def start_at(self) -> datetime | None:
        """The first instant of `start_date`, UTC."""
        if self.start_date is None:
            return None
        return datetime.combine(self.start_date, time(), tzinfo=UTC)


def set_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """List the settings (by field name) that the environment gives a value."""
    return [
        name
        for name in Settings.model_fields
        if environ.get(environment_variable(name), "").strip()
    ]


def is_sandbox(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment asks for the sandbox, before anything is validated."""
    value = environ.get(environment_variable("sandbox"), "")
    return value.strip().lower() in {"1", "true", "t", "yes", "y", "on"}


def default_database(*, sandbox: bool) -> str:
    """Return the default path: the sandbox and a real account never share a file."""
    return SANDBOX_DATABASE if sandbox else REAL_DATABASE


def given_database(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path that the environment names, or the default one, before any validation."""
    given = environ.get(environment_variable("database"), "").strip()
    return Path(given or default_database(sandbox=is_sandbox(environ)))


def make_database_folder(database: Path) -> None:
    """Make the folder of the database if it is missing.

    Raises:
        HotjarConfigError: It cannot be made or written to, or the path is a folder.
    """
    setting, folder = environment_variable("database"), database.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"the folder {folder} cannot be made ({error.strerror}); choose another"
        raise HotjarConfigError(setting, problem) from error
    if str(database).startswith(":memory:"):
        raise HotjarConfigError(setting, "rows kept in memory would be lost; name a file")
    if database.is_dir():
        raise HotjarConfigError(setting, f"{database} is a folder; name a file in it")
    unwritable = next(
        (path for path in (folder, database) if path.exists() and not os.access(path, os.W_OK)),
        None,
    )
    if unwritable:
        problem = f"{unwritable} is not writable for this user; choose another path"
        raise HotjarConfigError(setting, problem)
