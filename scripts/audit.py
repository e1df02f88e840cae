"""Look the locked versions up in the advisory database of the Python packaging authority.

Exit status: 0 nothing known, or nothing could be asked (which is said); 1 a locked version has a
known weakness; 2 pip-audit failed for another reason, say a lock file it cannot read.
"""

import json
import subprocess
import sys
from typing import Any

UNREACHABLE = ("ConnectionError", "Max retries exceeded", "ProxyError", "ServiceError", "timed out")


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print for a report of pip-audit.

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
        return 0, ["not audited: the advisory database answered for none of the packages"]
    lines = [*weaknesses, f"{asked} packages audited, {len(weaknesses)} known weaknesses"]
    if skipped:
        lines.append(f"not audited: {', '.join(skipped)}")
    return (1 if weaknesses else 0), lines


def audit(lock_file: str) -> int:
    """Run pip-audit over `lock_file`, print what it found and return this program's exit status."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock_file, "--disable-pip"]
    options = ["--require-hashes", "--format", "json", "--progress-spinner", "off"]
    outcome = subprocess.run(  # noqa: S603 - a fixed program, started with a file name
        [*command, *options, "--timeout", "10"], capture_output=True, text=True, check=False
    )
    try:
        status, lines = verdict(json.loads(outcome.stdout))
    except json.JSONDecodeError:
        reason = (outcome.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        offline = any(word in outcome.stderr for word in UNREACHABLE)
        status, lines = 0 if offline else 2, [f"not audited: {reason}"]
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1]))
