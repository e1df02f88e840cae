"""The tables, declared once: names, types, what a column holds, and where it comes from.

`hotjar.surveys` and `hotjar.survey_responses` are created from here, extended from here when a
newer release adds a column, filled from here (by name), and described in the Dagster UI from here.
No I/O, and no DuckDB: the warehouse turns this into SQL.
"""

from dataclasses import dataclass, replace

SCHEMA = "hotjar"
SCHEMA_VERSION = "1"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name.
        type: Its DuckDB type.
        description: What it holds, with unit.
        source: SQL expression over the spooled record; None for a column the warehouse sets.
        kept_when_removed: Whether a stored value survives when the API gives none any more.
        is_personal: Whether it may hold what is known of a person; see `privacy`.
    """

    name: str
    type: str
    description: str
    source: str | None = None
    kept_when_removed: bool = False
    is_personal: bool = False


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its name.
        key: Columns that identify a row; without any, a unit is replaced whole.
        record: Fields of the spooled JSON lines and their types.
        columns: Its columns, in order.
        schema: Its schema.
        unit: Columns that say which unit a row belongs to, which is committed whole; none where
            the table is one unit.
        unsure: Columns of the key that may turn out to be null, which is refused.
    """

    name: str
    key: tuple[str, ...]
    record: dict[str, str]
    columns: tuple[Column, ...]
    schema: str = SCHEMA
    unit: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def keeps_units_apart(self) -> bool:
        """Whether rows of different units never have the same key."""
        return set(self.unit) <= set(self.key)

    @property
    def sourced(self) -> tuple[Column, ...]:
        """The columns that come from the API."""
        return tuple(column for column in self.columns if column.source)


_DELETED_AT = Column(
    "deleted_at", "TIMESTAMPTZ", "When the row was found gone from Hotjar; else null."
)
_SYNCED_AT = Column("synced_at", "TIMESTAMPTZ", "When the row was last written here.")
_EXTRA = Column(
    "extra",
    "JSON",
    "Fields that Hotjar sent and no column holds, by their place.",
    '"hotjar_assets:extra"',
)

_CHOICES = "STRUCT(text VARCHAR, allow_comment BOOLEAN)[]"

SURVEYS = Table(
    name="surveys",
    key=("survey_id",),
    record={
        "id": "VARCHAR",
        "name": "VARCHAR",
        "type": "VARCHAR",
        "language": "VARCHAR",
        "url": "VARCHAR",
        "is_enabled": "BOOLEAN",
        "created_time": "TIMESTAMPTZ",
        "updated_time": "TIMESTAMPTZ",
        "sentiment_analysis_enabled": "BOOLEAN",
        "questions": (
            'STRUCT(id VARCHAR, "hotjar_assets:position" BIGINT, type VARCHAR, text VARCHAR, '
            f"is_required BOOLEAN, choices {_CHOICES}, "
            "labels STRUCT(low_label VARCHAR, high_label VARCHAR), image_url VARCHAR)[]"
        ),
        "hotjar_assets:extra": "JSON",
        "hotjar_assets:site_id": "VARCHAR",
        "hotjar_assets:platform": "VARCHAR",
    },
    columns=(
        Column("survey_id", "VARCHAR", "Id of the survey; the key.", "id"),
        Column(
            "site_id", "VARCHAR", "Site (or project) the survey is on.", '"hotjar_assets:site_id"'
        ),
        Column("platform", "VARCHAR", "API it was read from.", '"hotjar_assets:platform"'),
        Column("name", "VARCHAR", "Name in Hotjar.", "name"),
        Column("type", "VARCHAR", "How it is shown: link, full_screen, popover, …", "type"),
        Column("language", "VARCHAR", "Language, where the platform tells it.", "language"),
        Column("is_enabled", "BOOLEAN", "Whether it collects responses.", "is_enabled"),
        Column(
            "is_sentiment_enabled",
            "BOOLEAN",
            "Whether Hotjar scores sentiment.",
            "sentiment_analysis_enabled",
        ),
        Column("created_at", "TIMESTAMPTZ", "When it was created.", "created_time"),
        Column("updated_at", "TIMESTAMPTZ", "When it was last changed.", "updated_time"),
        Column(
            "url", "VARCHAR", "Page of the survey; at Contentsquare, its path in the API.", "url"
        ),
        Column(
            "questions",
            "STRUCT(question_id VARCHAR, position BIGINT, type VARCHAR, text VARCHAR, "
            f"is_required BOOLEAN, choices {_CHOICES}, "
            "low_label VARCHAR, high_label VARCHAR, image_url VARCHAR)[]",
            "Its questions, in order.",
            "list_transform(questions, lambda q: struct_pack("
            'question_id := q.id, "position" := q."hotjar_assets:position", type := q.type, '
            "text := q.text, is_required := q.is_required, choices := q.choices, "
            "low_label := q.labels.low_label, high_label := q.labels.high_label, "
            "image_url := q.image_url))",
        ),
        _EXTRA,
        _DELETED_AT,
        _SYNCED_AT,
    ),
)

SURVEY_RESPONSES = Table(
    name="survey_responses",
    key=("survey_id", "response_id"),
    unit=("survey_id",),
    record={
        "id": "VARCHAR",
        "created_time": "TIMESTAMPTZ",
        "is_complete": "BOOLEAN",
        "device": "VARCHAR",
        "browser": "VARCHAR",
        "os": "VARCHAR",
        "country": "VARCHAR",
        "hotjar_user_id": "VARCHAR",
        "recording_url": "VARCHAR",
        "response_origin_url": "VARCHAR",
        "window_size": "STRUCT(width INTEGER, height INTEGER)",
        "user_attributes": "STRUCT(name VARCHAR, value JSON)[]",
        "answers": (
            "STRUCT(question_id VARCHAR, answer VARCHAR, comment VARCHAR, "
            "tags STRUCT(name VARCHAR)[], sentiment VARCHAR)[]"
        ),
        "hotjar_assets:extra": "JSON",
        "hotjar_assets:site_id": "VARCHAR",
        "hotjar_assets:survey_id": "VARCHAR",
        "hotjar_assets:platform": "VARCHAR",
        "hotjar_assets:ordinal": "BIGINT",
    },
    columns=(
        Column("response_id", "VARCHAR", "Id of the response; the key with survey_id.", "id"),
        Column(
            "survey_id",
            "VARCHAR",
            "Survey it answers; the partition.",
            '"hotjar_assets:survey_id"',
        ),
        Column(
            "site_id", "VARCHAR", "Site (or project) the survey is on.", '"hotjar_assets:site_id"'
        ),
        Column("platform", "VARCHAR", "API it was read from.", '"hotjar_assets:platform"'),
        Column("created_at", "TIMESTAMPTZ", "When it was begun, UTC.", "created_time"),
        Column(
            "is_complete",
            "BOOLEAN",
            "Whether every question was reached; an export does not say.",
            "is_complete",
        ),
        Column("device", "VARCHAR", "desktop, mobile or tablet.", "device"),
        Column("browser", "VARCHAR", "Browser.", "browser"),
        Column("os", "VARCHAR", "Operating system.", "os"),
        Column(
            "country", "VARCHAR", "ISO 3166 alpha-2 code; of an export, what it says.", "country"
        ),
        Column(
            "hotjar_user_id",
            "VARCHAR",
            "Hotjar's id of the visitor.",
            "hotjar_user_id",
            is_personal=True,
        ),
        Column(
            "response_origin_url",
            "VARCHAR",
            "Page it was given on.",
            "response_origin_url",
            is_personal=True,
        ),
        Column(
            "recording_url",
            "VARCHAR",
            "Session recording; kept here after Hotjar removed it, as HOTJAR_PII says.",
            "recording_url",
            kept_when_removed=True,
            is_personal=True,
        ),
        Column("window_width", "INTEGER", "Window width in CSS pixels.", "window_size.width"),
        Column("window_height", "INTEGER", "Window height in CSS pixels.", "window_size.height"),
        Column(
            "user_attributes",
            "STRUCT(name VARCHAR, value JSON)[]",
            "Attributes of an identified user; kept here after Hotjar removed them (365 days).",
            "user_attributes",
            kept_when_removed=True,
            is_personal=True,
        ),
        Column(
            "answers",
            "STRUCT(question_id VARCHAR, answer VARCHAR, comment VARCHAR, tags VARCHAR[], "
            "sentiment VARCHAR)[]",
            "The answers, in order; several choices give several.",
            "list_transform(answers, lambda a: struct_pack("
            "question_id := a.question_id, answer := a.answer, comment := a.comment, "
            "tags := list_transform(a.tags, lambda t: t.name), sentiment := a.sentiment))",
            is_personal=True,
        ),
        replace(_EXTRA, is_personal=True),
        _DELETED_AT,
        _SYNCED_AT,
    ),
)

FORGOTTEN = Table(
    name="forgotten",
    key=("survey_id", "response_id"),
    record={},
    columns=(
        Column("survey_id", "VARCHAR", "Survey of an erased response."),
        Column("response_id", "VARCHAR", "Its id, all that is kept of it."),
        Column("forgotten_at", "TIMESTAMPTZ", "When it was erased."),
    ),
)
"""Responses that `forget` erased, and that no sync may bring back."""

UNSETTLED = Table(
    name="unsettled",
    key=("survey_id",),
    record={},
    columns=(
        Column("survey_id", "VARCHAR", "A survey that must be read whole."),
        Column("since", "TIMESTAMPTZ", "Since when it must be."),
    ),
)
"""Surveys whose watermark cannot be trusted: pages shifted under a walk and may hide a row, or came
in an order that nobody promised."""

META = Table(
    name="meta",
    key=("name",),
    record={},
    columns=(
        Column("name", "VARCHAR", "account, source, schema_version, pii, …, file_id."),
        Column("value", "VARCHAR", "Its value."),
    ),
)
"""What the file is, so that opening it as something else is refused."""
