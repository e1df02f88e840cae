"""Look the locked versions up in a database of advisories: on the network, or in a file.

Without AUDIT_DATABASE, pip-audit asks the database of the Python packaging authority. With it, no
network is needed: it names an export of https://osv.dev (`PyPI/all.zip`), or a folder with such
files, for example `vulns/` of a clone of https://github.com/pypa/advisory-database.

Exit status: 0 every locked version was looked up and no advisory is known; 1 an advisory is known;
2 the audit failed, for example because the lock file or the database is damaged; 3 NOT AUDITED:
some or all versions were not looked up, or only in a database that is out of date.

Source: https://google.github.io/osv.dev/data/ and https://ossf.github.io/osv-schema/ (read on
2026-11-28).
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from hotjar_assets.printable import printable

CLEAN, KNOWN, BROKEN, NOT_AUDITED = 0, 1, 2, 3
MAX_AGE = timedelta(days=30)
"""Age of the newest advisory; there are several a week."""
UNREACHABLE = ("ConnectionError", "Max retries exceeded", "ProxyError", "ServiceError", "timed out")
_LOCKED = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.ASCII | re.MULTILINE)


class AuditError(Exception):
    """The lock file or the database cannot be used; says why."""


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print for a report in pip-audit's form.

    Args:
        report: `{"dependencies": [{"name", "version", "vulns": [{"id", "fix_versions"}]}]}`, with
            `{"name", "skip_reason"}` for a package that the database did not answer for.
    """
    dependencies = report["dependencies"]
    skipped = [found["name"] for found in dependencies if "skip_reason" in found]
    asked = len(dependencies) - len(skipped)
    weaknesses = [
        f"{found['name']} {found['version']}: {weakness['id']}, "
        f"fixed in {', '.join(weakness['fix_versions']) or 'no version yet'}"
        for found in dependencies
        for weakness in found.get("vulns", [])
    ]
    if not asked:
        return NOT_AUDITED, ["NOT AUDITED: the advisory database answered for none of the packages"]
    lines = [*weaknesses, f"{asked} packages audited, {len(weaknesses)} known weaknesses"]
    if skipped:
        lines.append(f"NOT AUDITED: {', '.join(skipped)}")
    return KNOWN if weaknesses else NOT_AUDITED if skipped else CLEAN, lines


def audit_online(lock_file: Path) -> tuple[int, list[str]]:
    """Let pip-audit ask the network."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock_file), "--disable-pip"]
    options = ["--require-hashes", "--format", "json", "--progress-spinner", "off"]
    outcome = subprocess.run(  # noqa: S603 - a fixed program, started with a file name
        [*command, *options, "--timeout", "10"], capture_output=True, text=True, check=False
    )
    try:
        return verdict(json.loads(outcome.stdout))
    except json.JSONDecodeError:
        reason = (outcome.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    if not any(word in outcome.stderr for word in UNREACHABLE):
        return BROKEN, [f"the audit failed: {reason}"]
    return NOT_AUDITED, [
        f"NOT AUDITED: the advisory database cannot be reached ({reason})",
        "Set AUDIT_DATABASE to an export of osv.dev (PyPI/all.zip) to audit without a network.",
    ]


def audit_offline(lock_file: Path, database: Path, *, now: datetime) -> tuple[int, list[str]]:
    """Look the locked versions up in an export.

    Args:
        lock_file: The requirements.
        database: A ZIP of JSON files, or a folder of JSON or YAML files, each an advisory of OSV.
        now: The time, by which the export is judged.

    Raises:
        AuditError: The lock file or the database cannot be used.
    """
    locked = read_lock(lock_file)
    newest, advisories = datetime.min.replace(tzinfo=UTC), 0
    found: dict[tuple[str, str], list[dict[str, Any]]] = {package: [] for package in locked}
    for name, advisory in read_database(database):
        advisories += 1
        try:
            newest = max(newest, datetime.fromisoformat(advisory["modified"]))
            for package, known in found.items():
                if is_affected(advisory, *package):
                    known.append(
                        {"id": advisory["id"], "fix_versions": fixes(advisory, package[0])}
                    )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise AuditError(f"{database}: {name} is not an advisory of OSV ({error})") from error
    if not advisories:
        raise AuditError(f"{database}: holds no advisory")
    report = [
        {"name": name, "version": version, "vulns": known}
        for (name, version), known in found.items()
    ]
    status, lines = verdict({"dependencies": report})
    lines.append(f"{advisories} advisories in {database}, the newest of {newest:%Y-%m-%d}")
    if newest < now - MAX_AGE:
        lines.append(f"NOT AUDITED: what became known after {newest:%Y-%m-%d}; get a newer export")
        status = status or NOT_AUDITED
    return status, lines


def read_lock(lock_file: Path) -> list[tuple[str, str]]:
    """Return the names and versions that a lock file pins."""
    try:
        locked = _LOCKED.findall(lock_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{lock_file}: cannot be read ({error})") from error
    if not locked:
        raise AuditError(f"{lock_file}: pins no version")
    return [(canonicalize_name(name), version) for name, version in locked]


def read_database(database: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each file of an export."""
    name = ""
    try:
        if database.is_dir():
            for path in sorted(database.rglob("*")):
                name = str(path.relative_to(database))
                if path.suffix == ".json":
                    yield name, json.loads(path.read_bytes())
                elif path.suffix in {".yaml", ".yml"}:
                    # The base loader keeps scalars as text: a version 2.10 is not a number.
                    yield name, yaml.load(path.read_bytes(), Loader=yaml.CBaseLoader)  # noqa: S506
            return
        with zipfile.ZipFile(database) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield name, json.loads(archive.read(name))
    except (OSError, RuntimeError, ValueError, yaml.YAMLError, zipfile.BadZipFile) as error:
        raise AuditError(f"{database}: {name} is damaged ({error})") from error


def is_affected(advisory: Mapping[str, Any], name: str, version: str) -> bool:
    """Tell whether an advisory that was not withdrawn is about a version of a package."""
    if advisory.get("withdrawn"):
        return False
    return any(
        version in affected.get("versions", ())
        or any(_is_equal(version, listed) for listed in affected.get("versions", ()))
        or any(
            _is_in_range(Version(version), each["events"])
            for each in affected.get("ranges", ())
            if each["type"] == "ECOSYSTEM"
        )
        for affected in _about(advisory, name)
    )


def fixes(advisory: Mapping[str, Any], name: str) -> list[str]:
    """List the versions that fix an advisory in a package."""
    fixed = {
        event["fixed"]
        for affected in _about(advisory, name)
        for each in affected.get("ranges", ())
        if each["type"] == "ECOSYSTEM"
        for event in each["events"]
        if "fixed" in event
    }
    return sorted(fixed, key=Version)


def _about(advisory: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    for affected in advisory.get("affected", ()):
        package = affected.get("package", {})
        if package.get("ecosystem") == "PyPI" and canonicalize_name(package["name"]) == name:
            yield affected


def _is_equal(version: str, listed: str) -> bool:
    try:
        return Version(version) == Version(listed)
    except InvalidVersion:
        return False


def _is_in_range(version: Version, events: list[dict[str, str]]) -> bool:
    """Follow the events of a range in the order of their versions, up to a version."""
    is_affected = False
    steps = [
        (_lowest(text), kind)
        for event in events
        for kind, text in event.items()
        if not (kind == "limit" and text == "*")
    ]
    for at, kind in sorted(steps):
        if kind == "introduced" and version >= at:
            is_affected = True
        elif (kind in {"fixed", "limit"} and version >= at) or (
            kind == "last_affected" and version > at
        ):
            is_affected = False
    return is_affected


def _lowest(text: str) -> Version:
    return Version("0.dev0" if text == "0" else text)


def audit(lock_file: str) -> int:
    """Audit a lock file, print what was found and return this program's exit status."""
    database = os.environ.get("AUDIT_DATABASE", "").strip()
    try:
        status, lines = (
            audit_offline(Path(lock_file), Path(database), now=datetime.now(UTC))
            if database
            else audit_online(Path(lock_file))
        )
    except AuditError as error:
        status, lines = BROKEN, [f"the audit failed: {error}"]
    print("\n".join(map(printable, lines)))
    return status


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1]))
