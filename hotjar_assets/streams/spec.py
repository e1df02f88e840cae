"""What the YAML of a source of streams may say: one word for each idea, checked once.

A source is one API: a base URL, an authentication, parameters, and its streams. A stream is one
endpoint and one table. Text may hold `{{ name }}`: a declared parameter, or in the path, query,
headers and body of a child `{{ parent.field }}`, a field of the parent's record.

    name: acme
    base_url: https://{{ store }}.example.com/v1
    parameters:
      - {name: store, required: true}
    authentication: {type: api_key, name: X-Api-Key, key_env: ACME_KEY}
    streams:
      - name: orders
        path: /orders
        records: $.data[*]
        primary_key: [id]
        pagination: {type: page, parameter: page, start: 1}
        incremental: {cursor: updated_at, parameter: since, format: timestamp}
        schema:
          properties:
            id: {type: integer}
            updated_at: {type: string, format: date-time}

No value of a secret may stand in it, only the name of an environment variable (`…_env`).
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from hotjar_assets.streams import checks
from hotjar_assets.streams.values import (
    check_base_url,
    check_cron,
    check_encoding,
    check_env_name,
    check_instant_format,
    check_path,
    check_personal_name,
    check_records_path,
)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""snake_case: the name of a stream is the name of its table."""
Place = Literal["query", "header"]
AnyPlace = Literal["query", "header", "body"]
EnvName = Annotated[
    str,
    AfterValidator(check_env_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
]
"""The name of an environment variable."""
JsonPath = Annotated[str, AfterValidator(check_path)]
"""Where in an answer something is, from its root `$`."""
RecordsPath = Annotated[str, AfterValidator(check_records_path)]
"""Where in an answer the records are."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Parameter(_Model):
    """A value that the YAML leaves open; it comes from the environment, else the default."""

    name: Name
    type: Literal["string", "integer", "number", "boolean", "date"] = "string"
    description: str | None = None
    default: str | int | float | bool | None = None
    required: bool = False
    secret: bool = Field(default=False, description="Never shown; may have no default.")
    env: EnvName | None = Field(
        default=None, description="Environment variable; default NAME_PARAMETER in capitals."
    )


class NoAuthentication(_Model):
    """Requests carry nothing."""

    type: Literal["none"] = "none"


class ApiKey(_Model):
    """A key in a header or in the query."""

    type: Literal["api_key"]
    name: str = Field(min_length=1, description="Header or query parameter.")
    key_env: EnvName
    place: Place = "header"
    prefix: str = Field(default="", description="Stands before the key, for example `Token `.")


class Basic(_Model):
    """HTTP Basic; a password that is not given is blank."""

    type: Literal["basic"]
    username_env: EnvName
    password_env: EnvName | None = None


class Bearer(_Model):
    """A token in `Authorization: Bearer …`."""

    type: Literal["bearer"]
    token_env: EnvName


class OAuth2(_Model):
    """The OAuth 2 client credentials grant."""

    type: Literal["oauth2"]
    token_path: str = Field(description="Path below the base URL, or a URL.")
    client_id_env: EnvName
    client_secret_env: EnvName
    client_authentication: Literal["body", "basic"] = Field(
        default="body", description="Where the id and the secret are: the body, or HTTP Basic."
    )
    scope: str | None = None
    token_fields: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="Further fields of the token request, such as audience or resource.",
    )
    body: Literal["form", "json"] = "form"


HasMore = Annotated[
    JsonPath | None,
    Field(description="JSONPath of a boolean: whether there is a next page."),
]
Authentication = Annotated[
    NoAuthentication | ApiKey | Basic | Bearer | OAuth2, Field(discriminator="type")
]


class SinglePage(_Model):
    """One request has everything."""

    type: Literal["none"] = "none"


class CursorPagination(_Model):
    """The answer names the next cursor; null, empty, absent, 0 or -1 ends it."""

    type: Literal["cursor"]
    selector: JsonPath | None = Field(
        default=None,
        description="JSONPath of the next cursor, for example $.next_cursor or $.data[-1].id.",
    )
    header: str | None = Field(
        default=None, min_length=1, description="Header of the answer with it, in place of that."
    )
    parameter: str = Field(min_length=1)
    place: AnyPlace = "query"
    has_more: HasMore = None


class PagePagination(_Model):
    """Pages are numbered; `total_pages` ends it, else a page without records."""

    type: Literal["page"]
    parameter: str = Field(min_length=1)
    start: int = Field(default=1, ge=0)
    place: AnyPlace = "query"
    total_pages: JsonPath | None = Field(
        default=None, description="JSONPath of the number of pages."
    )
    end_status: Literal[400, 404] | None = Field(
        default=None, description="Status that a page after the last one is answered with."
    )
    has_more: HasMore = None


class OffsetPagination(_Model):
    """Rows are numbered; a page without records, or a next offset that is null, ends it."""

    type: Literal["offset"]
    parameter: str = Field(default="offset", min_length=1)
    limit_parameter: str | None = "limit"
    limit: int = Field(default=100, ge=1)
    next_offset: JsonPath | None = Field(
        default=None, description="JSONPath of the next offset; default: rows read so far."
    )
    place: AnyPlace = "query"
    has_more: HasMore = None


class LinkPagination(_Model):
    """`Link: <…>; rel="next"`, or a field of the answer, is the URL of the next page."""

    type: Literal["link"]
    selector: JsonPath | None = Field(
        default=None, description="JSONPath of the URL; default: the Link header."
    )
    has_more: HasMore = None


Pagination = Annotated[
    SinglePage | CursorPagination | PagePagination | OffsetPagination | LinkPagination,
    Field(discriminator="type"),
]


class Incremental(_Model):
    """Read what is new: the newest value of a field in the table is sent, or ends the walk.

    With `parameter` the API filters. Without, the API gives the newest records first, and reading
    stops at the first page whose oldest record is older than what is there.
    """

    cursor: str = Field(min_length=1, description="Field of the record that only grows.")
    parameter: str | None = Field(default=None, min_length=1)
    place: AnyPlace = "query"
    format: Annotated[str, AfterValidator(check_instant_format)] = Field(
        default="%Y-%m-%dT%H:%M:%SZ",
        description="How an instant is sent: timestamp, milliseconds, or a strftime format.",
    )
    start: str | int | None = Field(
        default=None,
        description="Value of the first read; an instant such as 2026-01-31 is sent in `format`.",
    )
    lookback_seconds: int = Field(default=0, ge=0, description="Read again that far back.")


class Computed(_Model):
    """A column from a DuckDB SQL expression over the record's other columns."""

    sql: str = Field(min_length=1)
    type: str = Field(default="VARCHAR", description="Its DuckDB type.")


class Transform(_Model):
    """What becomes of the columns, in this order: keep, drop, rename, constant, computed."""

    keep: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    rename: dict[str, Name] = Field(default_factory=dict)
    constant: dict[Name, str | int | float | bool] = Field(default_factory=dict)
    computed: dict[Name, Computed] = Field(default_factory=dict)


PersonalKind = Literal["id", "email", "name", "text", "ip", "answer", "url"]


class Personal(_Model):
    """What a column, or a part of it, holds of people, and what becomes of it."""

    kind: PersonalKind = Field(
        description="What it is: id, email, name, text (free text) and ip are personal as a whole; "
        "of an answer, what is nothing but an e-mail address; of a url, query and fragment."
    )
    mode: Literal["keep", "hash", "drop"] | None = Field(
        default=None, description="What happens to it; default: what HOTJAR_PII says."
    )


def _with_kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


PersonalColumn = Annotated[
    Personal, BeforeValidator(_with_kind, json_schema_input_type=PersonalKind | Personal)
]
"""A kind alone, or a kind with a mode."""


class Parent(_Model):
    """A stream is read once for each record of another one."""

    stream: Name
    fields: dict[Name, str] = Field(
        min_length=1,
        description="Columns of the child, and the parent's fields they hold: they tell whose "
        "child a row is.",
    )
    partitions: bool = Field(
        default=False, description="Whether each parent is a Dagster partition of the child."
    )


class RecordSchema(_Model):
    """JSON Schema of a record, and what to do with fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    properties: dict[str, dict[str, Any]] = Field(min_length=1)
    required: tuple[str, ...] = ()


class Stream(_Model):
    """One endpoint, one table."""

    name: Name
    path: str = Field(min_length=1, description="Below the base URL; begins with a slash.")
    description: str | None = None
    method: Literal["GET", "POST"] = "GET"
    query: dict[str, str | int | float | bool] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] | None = Field(default=None, description="JSON body of a POST.")
    format: Literal["json", "jsonl", "csv"] = "json"
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="Between the cells of a CSV."
    )
    encoding: Annotated[str, AfterValidator(check_encoding)] = Field(
        default="utf-8", description="Of a CSV."
    )
    records: RecordsPath = Field(default="$[*]", description="JSONPath of the records.")
    redirects: Literal["own_host", "any_host"] = Field(
        default="own_host",
        description="any_host: a redirect of a GET to another https host is followed, without "
        "credentials and headers.",
    )
    flatten: tuple[str, ...] = Field(
        default=(),
        description="Objects of the record whose fields become its own: `of` with `name` gives "
        "`of_name`.",
    )
    metadata: dict[Name, JsonPath] = Field(
        default_factory=dict, description="Columns from the root of the answer, by JSONPath."
    )
    primary_key: tuple[str, ...] = Field(
        default=(), description="Columns; none: the table is replaced at every run."
    )
    pagination: Pagination = SinglePage()
    incremental: Incremental | None = None
    record_schema: RecordSchema | None = Field(default=None, alias="schema")
    unknown_fields: Literal["evolve", "freeze", "discard"] = Field(
        default="evolve",
        description="A field the schema does not have: evolve adds a column, freeze fails the "
        "stream, discard leaves it out.",
    )
    parent: Parent | None = None
    transform: Transform = Transform()
    personal: dict[Annotated[str, AfterValidator(check_personal_name)], PersonalColumn] = Field(
        default_factory=dict,
        description="Columns that hold personal data, or paths inside of them, such as "
        "attributes.$.phone, and its kind; {} says that there is none.",
    )


class Source(_Model):
    """One API and its streams."""

    name: Name = Field(description="Schema of the tables, and first part of the asset keys.")
    base_url: Annotated[str, AfterValidator(check_base_url)]
    description: str | None = None
    parameters: tuple[Parameter, ...] = ()
    authentication: Authentication = NoAuthentication()
    headers: dict[str, str] = Field(default_factory=dict)
    requests_per_minute: int = Field(default=600, ge=1)
    max_wait_seconds: int = Field(
        default=300,
        ge=0,
        le=3600,
        description="How long a request waits in all where the API says how long (Retry-After).",
    )
    read_timeout_seconds: int = Field(
        default=30, ge=1, le=3600, description="How long the API may keep silent."
    )
    answer_timeout_seconds: int = Field(
        default=120,
        ge=1,
        le=3600,
        description="How long a whole answer may take, from connecting to its last byte.",
    )
    concurrency: int = Field(default=8, ge=1, le=64, description="Parents read at once.")
    schedule: Annotated[str, AfterValidator(check_cron)] | None = Field(
        default=None, description="When all streams are read: a cron, in UTC."
    )
    streams: tuple[Stream, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _is_of_usual_size(cls, data: Any) -> Any:
        checks.check_size(data, _items)
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> "Source":
        for place, problem in checks.mistakes(self):
            raise checks.MisfitError(place, problem)
        return self


def _items(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
