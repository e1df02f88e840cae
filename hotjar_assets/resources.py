"""`HotjarResource`: from settings to a client, and from our errors to Dagster's.

No request is made when it is constructed, and no other room builds a client.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.api.dialects import DIALECTS
from hotjar_assets.api.insights import InsightsClient
from hotjar_assets.api.limits import Limits
from hotjar_assets.api.source import SurveySource
from hotjar_assets.config import (
    Settings,
    Source,
    environment_variable,
    is_sandbox,
    required_names,
    set_names,
    wanted_source,
)
from hotjar_assets.errors import HotjarApiError, HotjarError, HotjarStatusError
from hotjar_assets.printable import get_logger, make_printable, printable
from hotjar_assets.sync_progress import SyncProgress

logger = get_logger(__name__)


def _setting(name: str) -> Any:
    field = Settings.model_fields[name]
    return Field(default=field.default, description=field.description)


class HotjarResource(dg.ConfigurableResource[None]):
    """A Hotjar account: authentication, pacing and paging behind one client.

    Secrets are given as `dg.EnvVar`, so that only the variable's name reaches Dagster's storage.

    Example:
        HotjarResource(
            client_id=dg.EnvVar("HOTJAR_CLIENT_ID"),
            client_secret=dg.EnvVar("HOTJAR_CLIENT_SECRET"),
            site_id="1234567",
        )
    """

    platform: str = Field(
        default="hotjar", description=Settings.model_fields["platform"].description
    )
    client_id: str | None = _setting("client_id")
    client_secret: str | None = _setting("client_secret")
    site_id: str = Field(default="", description=Settings.model_fields["site_id"].description)
    project_id: str | None = _setting("project_id")
    api_url: str | None = Field(
        default=None, description=Settings.model_fields["api_url"].description
    )
    source: str = Field(default="api", description=Settings.model_fields["source"].description)
    email: str | None = _setting("email")
    password: str | None = _setting("password")
    survey_query: str = _setting("survey_query")
    requests_per_minute: int = _setting("requests_per_minute")
    concurrency: int = _setting("concurrency")
    lookback_days: int = _setting("lookback_days")
    start_date: str | None = _setting("start_date")
    pii: str = Field(default="keep", description=Settings.model_fields["pii"].description)
    pii_key: str | None = _setting("pii_key")
    key_created_on: str | None = _setting("key_created_on")
    organization_id: str | None = _setting("organization_id")
    max_answer_mb: int = _setting("max_answer_mb")
    max_export_mb: int = _setting("max_export_mb")
    max_columns: int = _setting("max_columns")
    sandbox: bool = _setting("sandbox")

    _client: SurveySource | None = PrivateAttr(default=None)
    _progress: SyncProgress = PrivateAttr(default_factory=SyncProgress)
    _opened: ExitStack = PrivateAttr(default_factory=ExitStack)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "HotjarResource":
        """Name the environment variables that are set, and those that must be.

        Only names are kept: Dagster reads the values when a run or a tick starts.
        """
        sandbox = is_sandbox(environ)
        platform = environ.get(environment_variable("platform"), "").strip()
        required = () if sandbox else required_names(platform, wanted_source(environ))
        names = {*required, *set_names(environ)} & cls.model_fields.keys() - {"sandbox"}
        return cls(sandbox=sandbox, **{name: _env_var(name) for name in sorted(names)})

    @classmethod
    def from_settings(cls, settings: Settings) -> "HotjarResource":
        """Hold the values themselves, for use outside of Dagster's storage."""
        given = settings.model_dump(include=set(cls.model_fields), mode="json")
        return cls(**{**given, "site_id": ",".join(settings.site_id)})

    @property
    def settings(self) -> Settings:
        """The validated settings.

        Raises:
            HotjarConfigError: Names the setting that is missing or malformed.
        """
        given = {name: getattr(self, name) for name in HotjarResource.model_fields}
        return Settings.parse(
            {name: value for name, value in given.items() if value not in {None, ""}}
        )

    @property
    def progress(self) -> SyncProgress:
        """What the syncs of this account have done so far."""
        return self._progress

    def report_to(self, progress: SyncProgress) -> None:
        """Let the syncs of this account count what they do in an object that is shown."""
        self._progress = progress

    def client(self) -> SurveySource:
        """Return the client of this resource, made at the first call.

        Raises:
            HotjarConfigError: Names the setting that is missing or malformed.
        """
        if self._client is None:
            client = self._opened.enter_context(open_client(self.settings))
            self._progress.requests = lambda: client.requests_sent
            self._progress.retries = lambda: client.retries
            self._client = client
        return self._client

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Close the connections, and the sandbox if one was started."""
        self.close()

    def close(self) -> None:
        """Close the connections, and the sandbox if one was started."""
        self._client = None
        self._opened.close()


@contextmanager
def open_client(settings: Settings) -> Iterator[SurveySource]:
    """Give a client of the account, and close it afterwards; nothing is requested.

    With `sandbox` set, the sandbox runs in this process meanwhile.
    """
    with ExitStack() as opened:
        if settings.sandbox:
            settings = opened.enter_context(_sandbox(settings))
            logger.warning("using the built-in sandbox account at %s", settings.api_url)
        client = _client(settings)
        opened.callback(client.close)
        yield client


def _client(settings: Settings) -> SurveySource:
    if settings.source is Source.INSIGHTS:
        return InsightsClient(
            settings.api_url,
            email=str(settings.email),
            password=str(settings.password),
            site_ids=settings.site_ids,
            survey_query=settings.survey_query,
            requests_per_minute=settings.requests_per_minute,
            use_environment=not settings.sandbox,
            limits=Limits.of(settings),
        )
    return HotjarClient(
        settings.api_url,
        client_id=str(settings.client_id),
        client_secret=str(settings.client_secret),
        site_ids=settings.site_ids,
        dialect=DIALECTS[settings.platform],
        requests_per_minute=settings.requests_per_minute,
        use_environment=not settings.sandbox,
        limits=Limits.of(settings),
    )


@contextmanager
def _sandbox(settings: Settings) -> Iterator[Settings]:
    """Start the sandbox and yield the settings that reach it."""
    # Nobody with a real account should pay for importing a web server.
    from hotjar_assets.sandbox.constants import SANDBOX_SITE_ID, sandbox_settings  # noqa: PLC0415
    from hotjar_assets.sandbox.server import SandboxServer  # noqa: PLC0415

    with SandboxServer() as server:
        account = {**sandbox_settings(server.url), "site_id": (SANDBOX_SITE_ID,)}
        yield settings.model_copy(update=account)


def _env_var(name: str) -> Any:
    variable = environment_variable(name)
    is_integer = HotjarResource.model_fields[name].annotation is int
    return dg.EnvVar.int(variable) if is_integer else dg.EnvVar(variable)


@contextmanager
def as_failure() -> Iterator[None]:
    """Turn an error of ours into a `dagster.Failure` that says whether a retry can help.

    Dagster records the texts of every error and of what caused it, so they are made safe to show.
    """
    try:
        yield
    except HotjarError as error:
        make_printable(error)
        raise failure(error) from error
    except Exception as error:
        make_printable(error)
        raise


def failure(error: HotjarError) -> dg.Failure:
    """Describe an error to Dagster: what happened, where, and whether a retry can help."""
    metadata: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, HotjarApiError) and error.url:
        metadata["url"] = printable(error.url)
    if isinstance(error, HotjarStatusError):
        metadata["status"] = error.status
    retryable = isinstance(error, HotjarApiError) and error.retryable
    return dg.Failure(str(error), metadata=metadata, allow_retries=retryable)
