"""The promises that no single module keeps: what the files hold, import, declare and pin."""

import ast
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import dagster as dg
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Written so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|work|home|Users|opt)/")
REGISTRY_HOST = re.compile(r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|deb[.]debian[.]org")
NOT_OURS = re.compile(
    r"^(?:\.(?!ci$|github$).*|__pycache__|build|data|dist|dbt_packages|htmlcov|logs|target|.*\.egg-info)$"
)


def text_files(folder):
    """Yield the text files below `folder` and what they hold, without what tools and users left."""
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not NOT_OURS.match(name)]
        for name in files:
            path = folder / here / name
            if name == ".env" or path.suffix in {".duckdb", ".png", ".wal"}:
                continue
            yield path.relative_to(folder), path.read_text(encoding="utf-8")


def python_files(project, *folders):
    for folder in folders:
        for path in (project / folder).rglob("*.py"):
            yield path.relative_to(project), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree):
    """Yield the full name of everything that a module imports, wherever it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="session")
def pyproject(project):
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def declared(pyproject):
    """Return the requirements of the package and of its extras, by extra; its own are under ""."""
    extras = {"": pyproject["project"]["dependencies"]}
    extras |= pyproject["project"]["optional-dependencies"]
    return {extra: [Requirement(text) for text in texts] for extra, texts in extras.items()}


@pytest.fixture(scope="session")
def lock(project):
    return (project / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def locked(lock):
    """Return (requirement, hashes) of every entry of the lock file."""
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n", "", lock).strip())
    return [
        (Requirement(first.removesuffix("\\").strip()), [line.strip(" \\") for line in rest])
        for first, *rest in (entry.splitlines() for entry in entries)
    ]


# --- What the files hold -----------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST], ids=["path", "registry"])
def test_no_file_speaks_of_one_machine(pattern, project):
    found = [
        f"{path}: {match.group()}"
        for path, text in text_files(project)
        if (match := pattern.search(text))
    ]
    assert not found


def test_make_targets_that_the_pages_name_exist(project):
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z]+):", makefile))
    named = {
        target
        for page in project.glob("*.md")
        for target in re.findall(r"(?m)(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    assert named <= targets


# --- What they import --------------------------------------------------------------------------


def test_the_security_model_names_the_tests_that_exist(project):
    page = (project / "docs" / "security-model.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/]*test_\w+\.py", page))
    attacks = {path.name for path in (project / "hotjar_assets_tests/attacks").glob("test_*.py")}
    assert attacks <= named
    others = named - attacks
    assert [name for name in others if not (project / "hotjar_assets_tests" / name).exists()] == []


def test_no_private_module_of_another_package_is_imported(project):
    found = [
        f"{path}: {name}"
        for path, tree in python_files(project, "hotjar_assets", "hotjar_assets_tests", "scripts")
        for name in imported(tree)
        if not name.startswith(("hotjar_assets.", "hotjar_assets_tests."))
        and any(re.match("_(?!_)", part) for part in name.split("."))
    ]
    assert not found


def test_no_statement_binds_a_value(project):
    """The first value that is bound makes DuckDB 1.5 import pandas: see `database.literal`."""
    calls = [
        (
            f"{path}:{node.lineno}",
            node.func.attr,
            len(node.args),
            [each.arg for each in node.keywords],
        )
        for path, tree in python_files(project, "hotjar_assets")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    methods = {"execute", "executemany", "query", "sql"}
    statements = [call for call in calls if call[1] in methods]
    assert len(statements) > 50
    binding = [
        place
        for place, method, values, names in statements
        if method == "executemany" or values > 1 or {"parameters", "params"} & set(names)
    ]
    assert not binding


def test_everything_imported_is_declared(project, declared):
    names = {
        canonicalize_name(requirement.name)
        for extra in declared.keys() - {"test", "dev"}
        for requirement in declared[extra]
    }
    distributions = importlib.metadata.packages_distributions()
    missing = {
        f"{path}: {top}"
        for path, tree in python_files(project, "hotjar_assets")
        for top in {name.partition(".")[0] for name in imported(tree)}
        if top not in sys.stdlib_module_names
        and top != "hotjar_assets"
        and not names & {canonicalize_name(name) for name in distributions.get(top, [])}
    }
    assert not missing


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("hotjar_assets.errors", {"dagster", "duckdb", "pandas", "requests"}),
        ("hotjar_assets.config", {"dagster", "duckdb", "pandas", "requests"}),
        ("hotjar_assets.api", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.sync", {"dagster", "pandas"}),
        ("hotjar_assets.warehouse", {"dagster"}),
        ("hotjar_assets.sandbox", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.api", {"hotjar_assets.streams"}),
        ("hotjar_assets.streams.loading", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.streams.reading", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.streams.trial", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.streams.inference", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.streams.tables", {"dagster", "duckdb", "pandas", "requests"}),
        ("hotjar_assets.streams.sync", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.readers", {"dagster", "duckdb", "pandas"}),
        ("hotjar_assets.report", {"dagster", "pandas"}),
        ("hotjar_assets.cli", {"dagster", "duckdb", "pandas", "matplotlib", "jinja2"}),
    ],
    ids=[
        "errors",
        "config",
        "api",
        "sync",
        "warehouse",
        "sandbox",
        "api and streams",
        "streams loading",
        "streams reading",
        "streams trial",
        "streams inference",
        "streams tables",
        "streams sync",
        "readers",
        "report",
        "cli",
    ],
)
def test_room_loads_without_what_comes_after_it(room, forbidden):
    program = f"""
import importlib, pkgutil, sys
room = importlib.import_module({room!r})
for module in pkgutil.walk_packages(getattr(room, "__path__", []), {room!r} + "."):
    importlib.import_module(module.name)
print(*({forbidden!r} & set(sys.modules)))
"""
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (outcome.returncode, outcome.stdout.split()) == (0, []), outcome.stderr


def test_the_package_itself_is_light_though_it_has_a_component():
    program = (
        "import hotjar_assets, sys; before = {'dagster', 'duckdb', 'pydantic'} & set(sys.modules); "
        "print(*before, 'RestStreams' in dir(hotjar_assets), hotjar_assets.RestStreams.__name__, "
        "hotjar_assets.build_defs.__module__)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.split() == ["True", "RestStreams", "hotjar_assets.definitions"]


@pytest.fixture(scope="module")
def tools(project):
    """What the command `dg` is told of this project."""
    return tomllib.loads((project / "dg.toml").read_text(encoding="utf-8"))["project"]


def test_nothing_takes_the_place_of_the_workspace(pyproject):
    """`dagster dev` prefers these tables to workspace.yaml."""
    assert not {"dg", "dagster"} & pyproject["tool"].keys()


@pytest.mark.slow
def test_dagster_opens_what_the_workspace_says(project):
    command = [sys.executable, "-m", "dagster", "definitions", "validate"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True, cwd=project)

    said = outcome.stdout + outcome.stderr
    found = re.findall(r"Validation successful for code location (\w+)\.", said)
    assert sorted(found) == ["hotjar_assets", "hotjar_models"]
    assert "BetaWarning" not in said


def test_tools_are_told_where_the_component_is(pyproject, tools):
    modules = pyproject["project"]["entry-points"]["dagster_dg_cli.registry_modules"]
    assert list(modules.values()) == tools["registry_modules"]


def test_nothing_heavy_is_imported_before_it_is_used():
    heavy = {"dbt", "dagster_dbt", "matplotlib", "rich.progress", "hotjar_assets.sandbox"}
    heavy |= {"pandas", "pyarrow", "numpy", "jsonpath"}
    program = (
        "import hotjar_assets.definitions, hotjar_assets.runs, sys; "
        f"print(*({heavy!r} & set(sys.modules)))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.split() == []


def test_without_the_extra_the_definitions_are_those_of_the_two_tables():
    """Imports of dbt are refused and its distributions are hidden, as if it was not installed."""
    program = """
import importlib.metadata, sys
sys.modules |= {"dbt": None, "dagster_dbt": None}
real = importlib.metadata.version
def version(name):
    if "dbt" in name:
        raise importlib.metadata.PackageNotFoundError(name)
    return real(name)
importlib.metadata.version = version
from hotjar_assets.definitions import defs
repository = defs().get_repository_def()
print(*sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()))
print(*(sensor.name for sensor in repository.sensor_defs))
"""
    outcome = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert outcome.stdout.splitlines() == [
        "hotjar/survey_responses hotjar/surveys",
        "new_surveys_sensor",
    ], outcome.stderr


# --- What they declare and pin -----------------------------------------------------------------


def test_versions_agree(project, pyproject):
    version = pyproject["project"]["version"]
    changelog = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, *released = re.findall(r"(?m)^## \[(.+?)\]", changelog)
    assert newest == "Unreleased"
    assert not released or released[0] == version
    assert importlib.metadata.version("hotjar-assets") == version


def test_lock_covers_everything_declared(declared, locked):
    pinned = {canonicalize_name(requirement.name): requirement for requirement, _ in locked}
    for requirement in (item for extra in declared.values() for item in extra):
        if requirement.name == "hotjar-assets":
            continue
        (pin,) = pinned[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(pin.version, prereleases=True), requirement


def test_lock_pins_every_version_by_hash(locked):
    assert locked
    for requirement, hashes in locked:
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", item) for item in hashes)


def test_lock_names_no_source(lock):
    assert not re.search(r"(?m)^\s*-(?:-index|-extra|-find|-trusted|i |f )|://|@ ", lock)


def test_workspace_and_tools_open_the_same_definitions(project, tools, monkeypatch):
    monkeypatch.setenv("HOTJAR_SANDBOX", "1")
    workspace = yaml.safe_load((project / "workspace.yaml").read_text(encoding="utf-8"))
    locations = [location["python_module"] for location in workspace["load_from"]]
    assert locations[0]["location_name"] == tools["code_location_name"]
    parts = [opened(each["module_name"], each["attribute"]) for each in locations]
    whole = opened(tools["code_location_target_module"], "defs")
    assert [bool(names) for names in parts] == [True, True]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == whole


def opened(module, attribute):
    """Name the assets, jobs, sensors and schedules that Dagster finds in a code location."""
    definitions = getattr(importlib.import_module(module), attribute)()
    repository = definitions.get_repository_def()
    assets = repository.asset_graph.materializable_asset_keys
    named = (repository.get_all_jobs(), repository.sensor_defs, repository.schedule_defs)
    jobs = {each.name for group in named for each in group if not each.name.startswith("__")}
    return {key.to_user_string() for key in assets} | jobs


def test_run_of_the_syncs_loads_no_more_than_it_needs(tmp_path):
    # What a run launched from the UI does: the location is loaded, and its job runs. The second one
    # finds nothing new, and draws no pictures.
    script = """if True:
        import sys
        import dagster as dg
        from hotjar_assets.locations import syncs
        job, instance = syncs().get_repository_def().get_job("sync_job"), dg.DagsterInstance.get()
        key = "1204512"
        instance.add_dynamic_partitions("survey_id", [key])
        tags = dict.fromkeys(map("dagster/asset_partition_range_{}".format, ("start", "end")), key)
        assert job.execute_in_process(instance=instance, tags=tags).success
        print(*{name.partition('.')[0] for name in sys.modules})
    """
    environ = {**os.environ, "HOTJAR_SANDBOX": "1", "DAGSTER_HOME": str(tmp_path)}
    environ["HOTJAR_DATABASE"] = str(tmp_path / "rows.duckdb")
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    loaded = [
        set(
            subprocess.run(
                [sys.executable, "-c", script],
                check=True,
                capture_output=True,
                text=True,
                env=environ,
                cwd=tmp_path,
            ).stdout.split()
        )
        for _ in range(2)
    ]
    for modules in loaded:
        assert {"dagster", "duckdb", "requests"} <= modules
        assert not {"dbt", "dagster_dbt", "matplotlib", "pandas"} & modules
    assert not {"pyarrow", "numpy", "jinja2"} & loaded[1]


def test_dagster_accepts_the_instance(project, tmp_path, monkeypatch):
    shutil.copy(project / "hotjar_assets" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert instance.run_retries_enabled
        assert instance.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False
        assert instance.run_monitoring_enabled


@pytest.mark.slow
def test_wheel_holds_every_file_of_the_package(project, tmp_path):
    source = tmp_path / "source"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(project / "hotjar_assets", source / "hotjar_assets", ignore=leave_out)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(project / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    expected = {
        path.relative_to(project).as_posix()
        for path in (project / "hotjar_assets").rglob("*")
        if path.is_file() and not {"__pycache__", "target", "logs"} & set(path.parts)
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected
