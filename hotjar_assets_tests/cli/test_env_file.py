"""A secret in `.env` is what is written there, for our commands and for Dagster."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from dotenv import dotenv_values

from hotjar_assets import env_file
from hotjar_assets.cli import main
from hotjar_assets.config import make_database_folder
from hotjar_assets.definitions import build_project
from hotjar_assets.errors import HotjarConfigError

NAME = "HOTJAR_CLIENT_SECRET"
SECRETS = {
    "dollar": "a$b$1$$",
    "reference": "a${HOME}b",
    "reference to itself": "a${HOTJAR_CLIENT_SECRET}b",
    "default": "a${NOTHING:-x}b",
    "two references": "${A}-${B}",
    "only a reference": "${NOTHING}",
    "open brace": "a${b",
    "backslash": "a\\b\\n\\",
    "hash": "a#b #c",
    "quotes": "a'b\"c`d",
    "blanks": "  a b  ",
    "equals": "=a=b==",
    "not ASCII": "äß€漢🙂",
    "all": "p'\"\\${X} #=$y ",
}


def single_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def double_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


WRITTEN = [
    pytest.param(f"{NAME}={quoted(secret)}", secret, id=f"{name}, {quoted.__name__}")
    for name, secret in SECRETS.items()
    for quoted in (single_quoted, double_quoted)
] + [
    pytest.param(f"{NAME}={SECRETS[name]}", SECRETS[name], id=f"{name}, unquoted")
    for name in SECRETS
    if name not in {"hash", "blanks", "all"}
]


@pytest.fixture
def dot_env(monkeypatch) -> Path:
    # Removed again afterwards.
    monkeypatch.setenv(NAME, "")
    monkeypatch.delenv(NAME)
    return Path.cwd() / ".env"


@pytest.mark.parametrize(("line", "secret"), WRITTEN)
def test_our_commands_read_what_is_written(dot_env, line, secret):
    dot_env.write_text(f"{line}\n", encoding="utf-8")
    env_file.load(dot_env)
    assert os.environ[NAME] == secret


@pytest.mark.parametrize(("line", "secret"), WRITTEN)
def test_what_dagster_made_of_it_is_undone(dot_env, line, secret, monkeypatch):
    dot_env.write_text(f"{line}\n", encoding="utf-8")
    # As `dagster dev` reads it.
    monkeypatch.setenv(NAME, str(dotenv_values(dot_env)[NAME]))
    env_file.restore()
    assert os.environ[NAME] == secret


def test_the_environment_wins_over_the_file(dot_env, monkeypatch):
    dot_env.write_text(f"{NAME}='a${{X}}b'\nHOTJAR_EMAIL='c${{X}}d'\n", encoding="utf-8")
    monkeypatch.setenv(NAME, "other")
    env_file.restore()
    assert os.environ[NAME] == "other"
    assert "HOTJAR_EMAIL" not in os.environ


def test_variables_of_others_are_left_to_dagster(dot_env, monkeypatch):
    dot_env.write_text("ACME='a${X}b'\n", encoding="utf-8")
    monkeypatch.setenv("ACME", "ab")
    env_file.restore()
    assert os.environ["ACME"] == "ab"
    env_file.restore(prefix="")
    assert os.environ["ACME"] == "a${X}b"


def test_a_path_that_waits_for_a_replacement_is_refused():
    with pytest.raises(HotjarConfigError, match=r"HOTJAR_DATABASE: .* not replaced"):
        make_database_folder(Path("${HOME}/x.duckdb"))
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.slow
def test_a_run_that_dagster_starts_has_what_is_written(tmp_path):
    program = """
import json, os
import dagster as dg
from hotjar_assets.definitions import defs

@dg.op
def look(context):
    names = ["HOTJAR_CLIENT_SECRET", "SHOP_KEY"]
    open("seen.json", "w").write(json.dumps({name: os.environ.get(name) for name in names}))

@dg.job(executor_def=dg.in_process_executor)
def look_job():
    look()

def repository():
    return dg.Definitions.merge(defs(), dg.Definitions(jobs=[look_job]))
"""
    (tmp_path / "looking.py").write_text(program, encoding="utf-8")
    (tmp_path / ".env").write_text(
        f"{NAME}='p$w${{HOME}}\\\\#x'\nSHOP_KEY=\"k${{HOME}}y\"\nHOTJAR_SANDBOX=1\n",
        encoding="utf-8",
    )
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HOTJAR_", "DAGSTER_"))
    }
    dagster = str(Path(sys.executable).with_name("dagster"))
    done = subprocess.run(
        [dagster, "job", "execute", "-f", "looking.py", "-a", "repository", "-j", "look_job"],
        cwd=tmp_path,
        env=environ | {"DAGSTER_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert seen == {NAME: "p$w${HOME}\\#x", "SHOP_KEY": "k${HOME}y"}


# --- Misspelled names ----------------------------------------------------------------------------


def warnings_of(result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("WARNING")]


def test_misspelled_variables_are_one_warning(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("HOTJAR_SITEID=1\n", encoding="utf-8")
    # Removed again afterwards.
    monkeypatch.setenv("HOTJAR_SITEID", "")
    monkeypatch.delenv("HOTJAR_SITEID")

    result = CliRunner().invoke(main, ["surveys"], env={"HOTJAR_ZZZ": "secret-value"})

    assert result.exit_code == 2
    assert warnings_of(result) == [
        (
            "WARNING: not settings of hotjar-assets, so without effect: HOTJAR_SITEID (did you "
            "mean HOTJAR_SITE_ID?), HOTJAR_ZZZ; the README lists them all"
        )
    ]


def test_a_variable_that_a_stream_names_is_no_misspelled_setting(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("streams").mkdir()
    text = "parameters:\n  - {name: region, env: HOTJAR_REGION}\n"
    Path("streams", "shop.yaml").write_text(text, encoding="utf-8")

    result = CliRunner().invoke(main, ["surveys"], env={"HOTJAR_REGION": "eu", "HOTJAR_URI": "x"})

    (line,) = warnings_of(result)
    assert "HOTJAR_URI" in line
    assert "HOTJAR_REGION" not in line


def test_dagster_is_told_of_misspelled_variables_too(monkeypatch, caplog):
    monkeypatch.setenv("HOTJAR_SITEID", "1")

    build_project(models=False)

    assert [each.getMessage() for each in caplog.records if "HOTJAR" in each.getMessage()] == [
        (
            "not a setting of hotjar-assets, so without effect: HOTJAR_SITEID (did you mean "
            "HOTJAR_SITE_ID?); the README lists them all"
        )
    ]
