"""Settings: defaults, what is refused and by which name, and where the database may be."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from hotjar_assets.config import (
    PiiMode,
    Platform,
    Settings,
    Source,
    default_database,
    environment_variable,
    is_sandbox,
    make_database_folder,
    set_names,
    unknown_variables,
)
from hotjar_assets.errors import HotjarConfigError, HotjarSettingsError
from hotjar_assets.resources import HotjarResource

ACCOUNT = {
    "HOTJAR_CLIENT_ID": "an-id",
    "HOTJAR_CLIENT_SECRET": "a-secret",
    "HOTJAR_SITE_ID": "1001",
}
CONTENTSQUARE = {
    "HOTJAR_PLATFORM": "contentsquare",
    "HOTJAR_CLIENT_ID": "an-id",
    "HOTJAR_CLIENT_SECRET": "a-secret",
    "HOTJAR_PROJECT_ID": "2001",
}
EXPORT = {
    "HOTJAR_SOURCE": "insights",
    "HOTJAR_EMAIL": "ada@example.com",
    "HOTJAR_PASSWORD": "hunter2",
    "HOTJAR_SITE_ID": "1001",
}
DEFAULTS = {
    "platform": Platform.HOTJAR,
    "project_id": None,
    "api_url": "https://api.hotjar.io",
    "source": Source.API,
    "email": None,
    "password": None,
    "survey_query": '{"sort_by":"-index","clauses":[]}',
    "database": None,
    "requests_per_minute": 3000,
    "concurrency": 8,
    "lookback_days": 7,
    "start_date": None,
    "pii": PiiMode.KEEP,
    "pii_key": None,
    "key_created_on": None,
    "organization_id": None,
    "lock_timeout_seconds": 60,
    "max_answer_mb": 96,
    "max_export_mb": 2048,
    "max_columns": 200,
    "max_commit_mb": 200,
    "max_models_mb": 512,
    "progress_seconds": 10,
    "streams": "streams",
    "automation": False,
    "owners": (),
    "sandbox": False,
}


def read(**changes: str) -> Settings:
    return Settings.from_environment(ACCOUNT | changes)


# --- What settings are -------------------------------------------------------------------------


def test_an_account_is_all_that_must_be_set():
    assert read().model_dump() == {
        "client_id": "an-id",
        "client_secret": "a-secret",
        "site_id": ("1001",),
        **DEFAULTS,
    }


@pytest.mark.parametrize("name", sorted(DEFAULTS))
@pytest.mark.parametrize("value", ["", "  "], ids=["empty", "blank"])
def test_an_empty_variable_counts_as_unset(name, value):
    settings = read(**{environment_variable(name): value})

    assert getattr(settings, name) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("HOTJAR_PLATFORM", "hotjar", "platform", Platform.HOTJAR),
        ("HOTJAR_SITE_ID", "1001, 1002", "site_id", ("1001", "1002")),
        ("HOTJAR_SITE_ID", "1001,1002,1001", "site_id", ("1001", "1002")),
        ("HOTJAR_API_URL", "https://api.example.com/v/", "api_url", "https://api.example.com/v"),
        ("HOTJAR_API_URL", "http://127.0.0.1:8787", "api_url", "http://127.0.0.1:8787"),
        ("HOTJAR_API_URL", "http://[::1]:8787", "api_url", "http://[::1]:8787"),
        ("HOTJAR_API_URL", "http://localhost:8787", "api_url", "http://localhost:8787"),
        ("HOTJAR_SURVEY_QUERY", '{"clauses": [1]}', "survey_query", '{"clauses": [1]}'),
        ("HOTJAR_DATABASE", "a/b.duckdb", "database_path", Path("a/b.duckdb")),
        ("HOTJAR_REQUESTS_PER_MINUTE", "1", "requests_per_minute", 1),
        ("HOTJAR_CONCURRENCY", "64", "concurrency", 64),
        ("HOTJAR_LOOKBACK_DAYS", "30", "lookback_days", 30),
        ("HOTJAR_START_DATE", "2026-01-31", "start_date", date(2026, 1, 31)),
        ("HOTJAR_START_DATE", "2026-01-31", "start_at", datetime(2026, 1, 31, tzinfo=UTC)),
        ("HOTJAR_PII", "drop", "pii", PiiMode.DROP),
        ("HOTJAR_KEY_CREATED_ON", "2026-01-31", "key_created_on", date(2026, 1, 31)),
        ("HOTJAR_ORGANIZATION_ID", "501", "organization_id", "501"),
        ("HOTJAR_LOCK_TIMEOUT_SECONDS", "0", "lock_timeout_seconds", 0),
        ("HOTJAR_SANDBOX", "0", "sandbox", False),
        ("HOTJAR_SANDBOX", "1", "sandbox", True),
    ],
)
def test_a_setting_is_read_as_its_type(variable, value, field, expected):
    assert getattr(read(**{variable: value}), field) == expected


@pytest.mark.parametrize("variable", sorted(ACCOUNT))
@pytest.mark.parametrize("value", [None, "", " "], ids=["unset", "empty", "blank"])
def test_a_missing_account_setting_is_named_with_what_to_do(variable, value):
    environ = {name: text for name, text in ACCOUNT.items() if name != variable}
    if value is not None:
        environ[variable] = value

    with pytest.raises(HotjarConfigError) as raised:
        Settings.from_environment(environ)

    assert raised.value.setting == variable
    assert "is not set; put it into the environment or .env" in str(raised.value)


def test_everything_that_is_missing_or_malformed_is_told_at_once():
    environ = {"HOTJAR_SITE_ID": "1,,2", "HOTJAR_CONCURRENCY": "0", "HOTJAR_PII": "hash"}

    with pytest.raises(HotjarSettingsError) as raised:
        Settings.from_environment(environ)

    assert sorted(line.partition(":")[0] for line in raised.value.lines) == [
        "HOTJAR_CLIENT_ID",
        "HOTJAR_CLIENT_SECRET",
        "HOTJAR_CONCURRENCY",
        "HOTJAR_PII_KEY",
        "HOTJAR_SITE_ID",
    ]
    assert str(raised.value) == "; ".join(raised.value.lines)
    assert str(raised.value).count("HOTJAR_SANDBOX=1") == 1


@pytest.mark.parametrize(
    ("account", "found_at"),
    [(ACCOUNT, "API access"), (CONTENTSQUARE, "Contentsquare"), (EXPORT, "insights.hotjar.com")],
    ids=["hotjar", "contentsquare", "insights"],
)
def test_each_missing_setting_says_where_it_is_found(account, found_at):
    chosen = {name: account[name] for name in account if name.endswith(("SOURCE", "PLATFORM"))}

    with pytest.raises(HotjarSettingsError) as raised:
        Settings.from_environment(chosen)

    lines = {line.partition(":")[0]: line for line in raised.value.lines}
    assert lines.keys() == account.keys() - chosen.keys()
    assert found_at in str(raised.value)
    assert all("put it into the environment or .env (" in line for line in lines.values())


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("HOTJAR_SITEID", "HOTJAR_SITE_ID"),
        ("HOTJAR_SITE_IDS", "HOTJAR_SITE_ID"),
        ("HOTJAR_CLIENTID", "HOTJAR_CLIENT_ID"),
        ("HOTJAR_SECRET", "HOTJAR_CLIENT_SECRET"),
        ("HOTJAR_DATABSE", "HOTJAR_DATABASE"),
        ("hotjar_pii", "HOTJAR_PII"),
        ("Hotjar_ZZZ", None),
        ("HOTJAR_ZZZ", None),
    ],
)
def test_a_variable_that_is_no_setting_is_found_with_the_nearest_one(variable, near):
    environ = {variable: "x", "PATH": "y", "MY_HOTJAR_SITE": "z", **ACCOUNT}

    assert unknown_variables(environ) == {variable: near}


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("HOTJAR_PLATFORM", "hotglue", "must be hotjar or contentsquare$"),
        ("HOTJAR_PROJECT_ID", "1,2", "write the id of one project"),
        ("HOTJAR_PROJECT_ID", "../1", "write the id of one project"),
        ("HOTJAR_SITE_ID", "123,", "empty or malformed item"),
        ("HOTJAR_SITE_ID", ",", "empty or malformed item"),
        ("HOTJAR_SITE_ID", "1,,2", "empty or malformed item"),
        ("HOTJAR_SITE_ID", "12/34", "empty or malformed item"),
        ("HOTJAR_SITE_ID", "12 34", "empty or malformed item"),
        ("HOTJAR_API_URL", "api.hotjar.io", "must look like https://api.hotjar.io"),
        ("HOTJAR_API_URL", "ftp://api.hotjar.io", "must look like https://api.hotjar.io"),
        ("HOTJAR_API_URL", "https://", "must look like https://api.hotjar.io"),
        ("HOTJAR_API_URL", "https://api.hotjar.io?x=1", "must look like https://api.hotjar.io"),
        ("HOTJAR_API_URL", "https://a:b@api.hotjar.io", "must not hold credentials"),
        ("HOTJAR_API_URL", "http://api.hotjar.io", "must be https"),
        ("HOTJAR_API_URL", "http://10.0.0.1", "must be https"),
        ("HOTJAR_API_URL", "https://api.hotjar.io:99999", "port"),
        ("HOTJAR_API_URL", "https://api.hotjar.io:port", "port"),
        ("HOTJAR_API_URL", "https://[api", "Invalid IPv6 URL"),
        ("HOTJAR_SOURCE", "export", "must be api or insights$"),
        ("HOTJAR_SURVEY_QUERY", "[]", "must be a JSON object"),
        ("HOTJAR_SURVEY_QUERY", "sort_by=-index", "must be a JSON object"),
        ("HOTJAR_SURVEY_QUERY", "[" * 100_000, "must be a JSON object"),
        ("HOTJAR_REQUESTS_PER_MINUTE", "0", "must be 1 or more$"),
        ("HOTJAR_REQUESTS_PER_MINUTE", "-5", "must be 1 or more$"),
        ("HOTJAR_REQUESTS_PER_MINUTE", "many", "must be a whole number$"),
        ("HOTJAR_REQUESTS_PER_MINUTE", "9" * 5000, "must be a whole number$"),
        ("HOTJAR_REQUESTS_PER_MINUTE", "nan", "must be a whole number$"),
        ("HOTJAR_CONCURRENCY", "0", "must be 1 or more$"),
        ("HOTJAR_CONCURRENCY", "65", "must be 64 or less$"),
        ("HOTJAR_LOOKBACK_DAYS", "0", "must be 1 or more$"),
        ("HOTJAR_LOOKBACK_DAYS", "99999999999", "must be 36500 or less$"),
        ("HOTJAR_LOOKBACK_DAYS", "1.5", "must be a whole number$"),
        ("HOTJAR_START_DATE", "31.01.2026", "must be a day, such as 2026-01-31$"),
        ("HOTJAR_START_DATE", "2026-01-31T09:00", "must be a day, such as 2026-01-31$"),
        ("HOTJAR_START_DATE", "2026-02-30", "must be a day, such as 2026-01-31$"),
        ("HOTJAR_PII", "encrypt", "must be keep, hash or drop$"),
        ("HOTJAR_PII_KEY", "short", "must have 16 characters or more$"),
        ("HOTJAR_KEY_CREATED_ON", "last year", "must be a day, such as 2026-01-31$"),
        ("HOTJAR_LOCK_TIMEOUT_SECONDS", "-1", "must be 0 or more$"),
        ("HOTJAR_LOCK_TIMEOUT_SECONDS", "soon", "must be a whole number$"),
        ("HOTJAR_SANDBOX", "perhaps", "must be 1 or 0$"),
    ],
)
def test_a_malformed_setting_is_named_with_what_is_wrong(variable, value, problem):
    with pytest.raises(HotjarConfigError, match=problem) as raised:
        read(**{variable: value})

    assert raised.value.setting == variable
    assert str(raised.value).startswith(f"{variable}: ")
    assert "\n" not in str(raised.value)


def test_the_export_needs_a_login_and_no_key_and_has_an_address_of_its_own():
    settings = Settings.from_environment(EXPORT)

    assert (settings.source, settings.client_id) == (Source.INSIGHTS, None)
    assert settings.api_url == "https://insights.hotjar.com"
    assert settings.database_path == Path("data/warehouse.duckdb")
    given = Settings.from_environment({**EXPORT, "HOTJAR_API_URL": "http://127.0.0.1:1"})
    assert given.api_url == "http://127.0.0.1:1"


@pytest.mark.parametrize("variable", sorted(EXPORT.keys() - {"HOTJAR_SOURCE"}))
def test_a_missing_setting_of_the_export_is_named(variable):
    environ = {name: text for name, text in EXPORT.items() if name != variable}

    with pytest.raises(HotjarConfigError, match=f"{variable}: is not set"):
        Settings.from_environment(environ)


def test_what_makes_no_request_needs_no_account():
    settings = Settings.from_environment({"HOTJAR_PII": "drop"}, needs_account=False)

    assert (settings.pii, settings.site_id) == (PiiMode.DROP, ())


# --- Contentsquare -----------------------------------------------------------------------------


def test_contentsquare_needs_a_project_and_no_site():
    settings = Settings.from_environment(CONTENTSQUARE)

    assert settings.site_ids == ("2001",)
    assert settings.api_url == "https://api.contentsquare.com"


def test_a_site_that_is_still_set_is_no_part_of_a_contentsquare_account():
    assert Settings.from_environment(CONTENTSQUARE | ACCOUNT).site_ids == ("2001",)


def test_contentsquare_without_a_project_names_the_project():
    with pytest.raises(HotjarConfigError, match="HOTJAR_PROJECT_ID: is not set"):
        read(HOTJAR_PLATFORM="contentsquare")


def test_an_address_that_is_given_is_used_on_both_platforms():
    given = {"HOTJAR_API_URL": "http://127.0.0.1:8787"}

    assert Settings.from_environment(CONTENTSQUARE | given).api_url == given["HOTJAR_API_URL"]
    assert read(**given).api_url == given["HOTJAR_API_URL"]


def test_a_resource_names_the_variables_that_its_platform_needs():
    resource = HotjarResource.from_environment({"HOTJAR_PLATFORM": "contentsquare"})

    assert resource.project_id == dg.EnvVar("HOTJAR_PROJECT_ID")
    assert resource.client_id == dg.EnvVar("HOTJAR_CLIENT_ID")
    assert resource.site_id == ""


def test_a_resource_has_the_address_of_its_platform():
    resource = HotjarResource(
        platform="contentsquare", client_id="a", client_secret="b", project_id="2001"
    )

    assert resource.settings.api_url == "https://api.contentsquare.com"
    assert HotjarResource.from_settings(resource.settings).settings == resource.settings


# --- What settings never do --------------------------------------------------------------------


def test_hashing_without_a_key_names_the_key():
    with pytest.raises(HotjarConfigError, match="HOTJAR_PII_KEY: is not set"):
        read(HOTJAR_PII="hash")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOTJAR_PII_KEY", "tooshort"),
        ("HOTJAR_API_URL", "https://me:hunter2@api.hotjar.io"),
        ("HOTJAR_SITE_ID", "hunter2,"),
    ],
)
def test_an_error_never_repeats_the_value(variable, value):
    with pytest.raises(HotjarConfigError) as raised:
        read(**{variable: value})

    assert value not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_settings_do_not_show_their_secrets():
    settings = read(HOTJAR_PII="hash", HOTJAR_PII_KEY="0123456789abcdef")

    assert "a-secret" not in repr(settings)
    assert "0123456789abcdef" not in repr(settings)


def test_the_login_of_the_export_is_not_shown():
    shown = repr(Settings.from_environment(EXPORT))

    assert "ada@example.com" not in shown
    assert "hunter2" not in shown


def test_a_setting_that_does_not_exist_is_not_looked_for():
    assert set_names({"HOTJAR_COLOUR": "red", "HOTJAR_PII": "keep", "PII": "drop"}) == ["pii"]


def test_the_sandbox_needs_no_account():
    assert Settings.from_environment({"HOTJAR_SANDBOX": "1"}).client_id is None


@pytest.mark.parametrize(
    "value", ["1", "0", "true", "false", "True", "yes", "no", "on", "off", "t", "f", "y", "n"]
)
def test_what_asks_for_the_sandbox_is_read_alike_before_and_after_validation(value):
    """One of them chooses the account and the other the file."""
    environ = ACCOUNT | {"HOTJAR_SANDBOX": value}

    assert is_sandbox(environ) is Settings.from_environment(environ).sandbox


def test_the_sandbox_and_a_real_account_never_share_a_default_file():
    assert read().database_path == Path("data/warehouse.duckdb")
    assert read(HOTJAR_SANDBOX="1").database_path == Path("data/sandbox.duckdb")
    assert default_database(sandbox=True) != default_database(sandbox=False)
    export = {"HOTJAR_SANDBOX": "1", "HOTJAR_SOURCE": "insights"}
    path = Settings.from_environment(export).database_path
    assert path == Path("data/sandbox-insights.duckdb")


def test_the_settings_example_lists_every_setting_and_no_other(project):
    text = (project / ".env.example").read_text(encoding="utf-8")
    assignments = [line.lstrip("#") for line in text.splitlines() if "=" in line]
    listed = [line.partition("=")[0] for line in assignments if line.startswith("HOTJAR_")]

    assert sorted(listed) == sorted(map(environment_variable, Settings.model_fields))


def test_the_readme_lists_every_setting_and_the_pages_name_no_other(project):
    known = set(map(environment_variable, Settings.model_fields))
    readme, streams = (
        (project / name).read_text(encoding="utf-8") for name in ("README.md", "docs/streams.md")
    )
    rows = [line.split("|")[1] for line in readme.splitlines() if line.startswith("| `HOTJAR_")]

    assert {name for row in rows for name in re.findall(r"HOTJAR_[A-Z_]+", row)} == known
    assert set(re.findall(r"(?<!\w)HOTJAR_\w*[A-Z]", readme + streams)) == known


# --- The database's folder ---------------------------------------------------------------------


def test_a_missing_folder_is_made(tmp_path):
    make_database_folder(tmp_path / "a" / "b" / "tables.duckdb")

    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(HotjarConfigError, match=r"HOTJAR_DATABASE: the folder .* cannot be made"):
        make_database_folder(tmp_path / "file" / "b" / "tables.duckdb")


def test_a_database_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(HotjarConfigError, match="is a folder; name a file in it"):
        make_database_folder(tmp_path)


@pytest.mark.parametrize("path", [":memory:", ":memory:mine"])
def test_a_database_in_memory_is_refused(path):
    with pytest.raises(HotjarConfigError, match="kept in memory would be lost"):
        make_database_folder(Path(path))


# --- The resource ------------------------------------------------------------------------------


def test_a_resource_keeps_all_settings():
    settings = read(
        HOTJAR_SITE_ID="1001,1002",
        HOTJAR_API_URL="http://127.0.0.1:1",
        HOTJAR_CONCURRENCY="3",
        HOTJAR_START_DATE="2026-01-31",
        HOTJAR_PII="hash",
        HOTJAR_PII_KEY="0123456789abcdef",
        HOTJAR_KEY_CREATED_ON="2026-01-31",
    )

    assert HotjarResource.from_settings(settings).settings == settings


def test_a_resource_of_the_export_keeps_all_settings_and_names_its_variables_alone():
    settings = Settings.from_environment({**EXPORT, "HOTJAR_SURVEY_QUERY": '{"clauses":[1]}'})

    assert HotjarResource.from_settings(settings).settings == settings
    resource = HotjarResource.from_environment({"HOTJAR_SOURCE": "insights"})
    shown = repr(resource)
    assert "HOTJAR_EMAIL" in shown
    assert "HOTJAR_PASSWORD" in shown
    assert "HOTJAR_CLIENT_ID" not in shown


def test_a_resource_names_the_bad_setting_when_it_is_used():
    resource = HotjarResource(client_id="a", client_secret="b", site_id="")

    with pytest.raises(HotjarConfigError, match="HOTJAR_SITE_ID: is not set"):
        resource.client()


@pytest.mark.parametrize("name", sorted(HotjarResource.model_fields))
def test_every_field_of_the_resource_is_described(name):
    assert HotjarResource.model_fields[name].description
