"""`make audit`: what is known of the locked versions, and a loud line where nothing was asked."""

import json
import runpy
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

CLEAN = {"name": "requests", "version": "1", "vulns": []}
WEAK = {"name": "pandas", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNASKED = {"name": "duckdb", "version": "2", "skip_reason": "not found"}
NOW = datetime(2026, 11, 28, tzinfo=UTC)
LOCK = """\
# This file is made by `make lock`.
Shop_Kit[extra]==1.10.0 ; sys_platform == 'linux' \\
    --hash=sha256:00
other==2.0 \\
    --hash=sha256:00
"""


@pytest.fixture(scope="module")
def script(project: Path) -> dict[str, Any]:
    return runpy.run_path(str(project / "scripts" / "audit.py"))


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK, encoding="utf-8")
    return path


def advisory(package: str = "shop-kit", **fields: Any) -> dict[str, Any]:
    """Return an advisory about a package; `events` and `versions` say about which of it."""
    affected: dict[str, Any] = {"package": {"ecosystem": "PyPI", "name": package}}
    if "events" in fields:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": fields.pop("events")}]
    if "versions" in fields:
        affected["versions"] = fields.pop("versions")
    return {
        "id": "PYSEC-1",
        "modified": "2026-11-27T10:00:00Z",
        "affected": [affected],
        **fields,
    }


@pytest.fixture
def audit(script, lock, tmp_path) -> Callable[..., tuple[int, list[str]]]:
    """Audit with an export that holds the given advisories."""

    def run(*advisories: Any) -> tuple[int, list[str]]:
        export = tmp_path / "all.zip"
        with zipfile.ZipFile(export, "w") as archive:
            for number, each in enumerate(advisories):
                content = each if isinstance(each, bytes) else json.dumps(each).encode()
                archive.writestr(f"PYSEC-{number}.json", content)
        status, lines = script["audit_offline"](lock, export, now=NOW)
        return status, lines

    return run


# --- What pip-audit reports ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dependencies", "status", "words"),
    [
        ([CLEAN], 0, "1 packages audited, 0 known weaknesses"),
        ([CLEAN, WEAK], 1, "pandas 2: CVE-1, fixed in 3"),
        ([CLEAN, UNASKED], 3, "NOT AUDITED: duckdb"),
        ([WEAK, UNASKED], 1, "NOT AUDITED: duckdb"),
        ([UNASKED], 3, "NOT AUDITED: the advisory database answered for none of the packages"),
    ],
    ids=["clean", "weak", "partly-unasked", "weak-and-unasked", "offline"],
)
def test_clean_is_told_from_not_audited(dependencies, status, words, script):
    found, lines = script["verdict"]({"dependencies": dependencies})
    assert found == status
    assert words in lines


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ("requests.ConnectionError: Max retries exceeded", 3, "NOT AUDITED: "),
        ("ERROR: the lock file has no hashes", 2, "the audit failed: ERROR: the lock file"),
        ("", 2, "pip-audit said nothing"),
    ],
    ids=["offline", "broken", "silent"],
)
def test_a_pip_audit_that_reports_nothing_is_never_a_success(
    said, status, words, script, monkeypatch
):
    done = subprocess.CompletedProcess([], 1, stdout="", stderr=said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    found, lines = script["audit_online"](Path("requirements.lock"))
    assert found == status
    assert words in lines[0]


# --- An export -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "affected",
    [
        {"versions": ["1.9", "1.10.0"]},
        {"versions": ["1.10"]},
        {"events": [{"introduced": "0"}]},
        {"events": [{"introduced": "0"}, {"fixed": "1.10.1"}]},
        {"events": [{"introduced": "1.10.0"}, {"fixed": "2"}]},
        {"events": [{"introduced": "0"}, {"last_affected": "1.10"}]},
        {"events": [{"fixed": "1.2"}, {"introduced": "0"}, {"introduced": "1.9"}, {"fixed": "3"}]},
        {"events": [{"introduced": "0"}, {"limit": "*"}]},
        {"events": [{"introduced": "2"}], "versions": ["1.10.0"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("package", ["shop-kit", "Shop.Kit"])
def test_an_advisory_about_a_locked_version_is_found(audit, affected, package):
    status, lines = audit(advisory("other-thing"), advisory(package, **affected))
    assert status == 1
    assert "shop-kit 1.10.0: PYSEC-1, fixed in" in lines[0]


@pytest.mark.parametrize(
    "about",
    [
        advisory("shop", versions=["1.10.0"]),
        advisory(versions=["1.1", "1.10.1", "a legacy version"]),
        advisory(events=[{"introduced": "0"}, {"fixed": "1.10.0"}]),
        advisory(events=[{"introduced": "0"}, {"fixed": "1.9"}, {"introduced": "1.11"}]),
        advisory(events=[{"introduced": "1.10.0.post1"}]),
        advisory(events=[{"introduced": "0"}, {"last_affected": "1.9.9"}]),
        advisory(events=[{"introduced": "0"}, {"limit": "1.10.0"}]),
        advisory(versions=["1.10.0"], withdrawn="2026-11-26T00:00:00Z"),
        advisory(affected=[{"package": {"ecosystem": "npm", "name": "shop-kit"}}]),
        advisory(
            affected=[
                {
                    "package": {"ecosystem": "npm", "name": "shop-kit"},
                    "versions": ["1.10.0"],
                }
            ]
        ),
        advisory(
            affected=[
                {
                    "package": {"ecosystem": "PyPI", "name": "shop-kit"},
                    "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}],
                }
            ]
        ),
        advisory(affected=[]),
    ],
    ids=range(12),
)
def test_any_other_advisory_is_not_a_hit(audit, about):
    status, lines = audit(about)
    assert status == 0
    assert lines[0] == "2 packages audited, 0 known weaknesses"
    assert lines[1].startswith("1 advisories in ")
    assert lines[1].endswith("the newest of 2026-11-27")


def test_the_versions_that_fix_are_in_order(audit):
    events = [{"introduced": "0"}, {"fixed": "1.11"}, {"introduced": "2"}, {"fixed": "2.2"}]
    assert audit(advisory(events=events[::-1]))[1][0].endswith("fixed in 1.11, 2.2")


def test_an_old_export_is_not_an_audit(audit):
    old = {"modified": "2026-10-28T10:00:00Z"}
    status, lines = audit(advisory(versions=[], **old))
    assert status == 3
    assert lines[-1].startswith("NOT AUDITED: what became known after 2026-10-28")
    assert audit(advisory(versions=["1.10.0"], **old))[0] == 1
    assert audit(advisory(versions=[], **old), advisory(versions=[]))[0] == 0


def test_a_folder_of_yaml_is_read_and_versions_stay_text(script, lock, tmp_path):
    folder = tmp_path / "vulns" / "shop-kit"
    folder.mkdir(parents=True)
    (folder / "PYSEC-7.yaml").write_text(
        "id: PYSEC-7\nmodified: '2026-11-20T00:00:00Z'\naffected:\n- package:\n"
        "    name: shop-kit\n    ecosystem: PyPI\n  versions:\n  - 1.10\n",
        encoding="utf-8",
    )
    status, lines = script["audit_offline"](lock, tmp_path / "vulns", now=NOW)
    assert status == 1
    assert "PYSEC-7" in lines[0]


@pytest.mark.parametrize(
    "damaged",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b"[" * 100_000,
        advisory(modified="yesterday"),
        advisory(modified="2026-11-27T10:00:00"),
        advisory(affected=7),
        advisory(affected=[{"package": {"ecosystem": "PyPI"}}]),
        advisory(events=[{"introduced": "not a version"}]),
        {"id": "PYSEC-1", "affected": []},
    ],
    ids=range(12),
)
def test_a_damaged_file_ends_the_audit(audit, damaged, script):
    with pytest.raises(Exception, match=r"PYSEC-1\.json is") as caught:
        audit(advisory(), damaged)
    assert type(caught.value).__name__ == "AuditError"


def run(project: Path, lock: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(project / "scripts" / "audit.py"), str(lock)],
        env={"PYTHONPATH": str(project), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("kind", ["missing", "empty", "cut", "no archive", "empty folder"])
def test_a_database_that_cannot_be_used_fails_the_audit(kind, project, lock, tmp_path):
    export = tmp_path / "all.zip"
    if kind == "empty folder":
        export.mkdir()
    elif kind != "missing":
        with zipfile.ZipFile(export, "w") as archive:
            if kind == "cut":
                archive.writestr("PYSEC-1.json", json.dumps(advisory()))
    if kind == "cut":
        export.write_bytes(export.read_bytes()[:-30])
    elif kind == "no archive":
        export.write_text("<html>not found</html>", encoding="utf-8")
    done = run(project, lock, AUDIT_DATABASE=str(export))
    assert done.returncode == 2
    assert done.stdout.startswith("the audit failed: ")
    assert not done.stderr


def test_a_lock_file_that_pins_nothing_fails_the_audit(project, tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("requests>=2\n", encoding="utf-8")
    done = run(project, lock, AUDIT_DATABASE=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, f"the audit failed: {lock}: pins no version\n")


def test_without_network_and_database_nothing_was_audited(project, lock):
    with socket.socket() as nothing:
        nothing.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{nothing.getsockname()[1]}"
        done = run(project, lock, HTTPS_PROXY=proxy, https_proxy=proxy, PATH="")
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.startswith("NOT AUDITED: ")
    assert "AUDIT_DATABASE" in done.stdout


def test_ci_repeats_at_its_end_that_nothing_was_audited(project):
    steps = (project / ".ci" / "run").read_text(encoding="utf-8")
    assert steps.rstrip().endswith("fi")
    assert steps.count("NOT AUDITED") == 1
    assert '[ "$audit" -eq 0 ] || [ "$audit" -eq 3 ] || exit "$audit"' in steps
