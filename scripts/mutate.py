"""Make one deliberate mistake after another in some modules, and list those that no test notices.

Works in `build/mutate`, a copy of the tree, so that a run that is cut off leaves nothing behind and
the next one goes on where it stopped. Without modules, those that differ from the branch `main`.

Exit status: 0 every mistake was noticed; 1 some were not, and are printed as a diff each; 2 nothing
could be tried.

Source: https://mutmut.readthedocs.io (read on 2026-11-28).
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

PACKAGE, TESTS = "hotjar_assets", "hotjar_assets_tests"
WORK = Path("build/mutate")
NOTICED, SURVIVED, NOTHING = 0, 1, 2
FOLDERS = {
    "api": ["api"],
    "cli": ["cli"],
    "components": ["streams"],
    "defs": ["dagster"],
    "report": ["report"],
    "sandbox": ["sandbox"],
    "streams": ["streams"],
    "warehouse": ["store", "streams"],
}
"""Where the tests of a package are; those of single modules are in `store` and `attacks`."""


def changed() -> list[str]:
    """List the modules that differ from where this branch left `main`."""
    base = _output("git", "merge-base", "HEAD", "main").strip()
    names = _output("git", "diff", "--name-only", "--diff-filter=d", base, "--", PACKAGE)
    return [name for name in names.split() if name.endswith(".py")]


def tests_of(modules: Iterable[str]) -> list[str]:
    """List the folders of tests that some modules are tried with."""
    parts = [Path(module).parts[1] for module in modules]
    folders = {each for part in parts for each in FOLDERS.get(part, ["store", "attacks"])}
    return [f"{TESTS}/{folder}" for folder in sorted(folders)]


def copy_tree(modules: Sequence[str], tests: Sequence[str]) -> None:
    """Copy what is tried to `WORK`, and say there what is to be done with it."""
    files = [f"{module}/*" if Path(module).is_dir() else module for module in modules]
    settings = {
        "source_paths": [PACKAGE],
        "only_mutate": files,
        "also_copy": [TESTS],
        "pytest_add_cli_args": ["-q", "-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": list(tests),
    }
    for name in (PACKAGE, TESTS):
        # mutmut takes a file that is no newer for one that it knows.
        shutil.copytree(name, WORK / name, dirs_exist_ok=True)
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    project = Path("pyproject.toml").read_text(encoding="utf-8")
    (WORK / "pyproject.toml").write_text(f"{project}\n[tool.mutmut]\n{lines}\n", encoding="utf-8")


def survivors() -> list[str]:
    """List the mistakes that no test noticed, as they are called."""
    results = _output(_mutmut(), "results", folder=WORK)
    return re.findall(r"(?m)^\s*(\S+): (?:survived|no tests)$", results)


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="files or packages; default: changed ones")
    parser.add_argument("--tests", nargs="*", help="what to run; default: the modules' folders")
    parser.add_argument("--minutes", type=float, default=30, help="give up after so long (30)")
    parser.add_argument("--only", help="a sample: '*5' tries those whose number ends with 5")
    parser.add_argument("--jobs", type=int, default=1, help="mistakes tried at once (1)")
    given = parser.parse_args()
    modules = given.modules or changed()
    if not modules:
        print(f"no module of {PACKAGE} differs from main; name some")
        return NOTHING
    copy_tree(modules, given.tests or tests_of(modules))
    command = [_mutmut(), "run", "--max-children", str(given.jobs), *filter(None, [given.only])]
    log = WORK / "mutate.log"
    status = 0
    with log.open("w", encoding="utf-8") as file, suppress(subprocess.TimeoutExpired):
        status = subprocess.run(  # noqa: S603 - our own tool
            command, cwd=WORK, check=False, stdout=file, stderr=file, timeout=given.minutes * 60
        ).returncode
    if status:
        print(f"nothing could be tried, see {log}; do the tests pass?")
        return NOTHING
    missed = survivors()
    for name in missed:
        print(_output(_mutmut(), "show", name, folder=WORK))
    print(f"{len(missed)} mistakes that no test noticed; {log} has the counts")
    return SURVIVED if missed else NOTICED


def _mutmut() -> str:
    return str(Path(sys.executable).with_name("mutmut"))


def _output(*command: str, folder: Path | None = None) -> str:
    return subprocess.run(  # noqa: S603 - git and our own tool
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
