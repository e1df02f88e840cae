"""Compare readers on the same work, side by side, and write `results.json`.

    .venv/bin/python benchmarks/run.py [--repeats 5] [--case NAME ...] [--dlt PYTHON]

Each reader is a process of its own, and so is the server, which is new for every reader. Wall time,
processor time and peak memory are the kernel's; the rows each reader stored are compared by key.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = sys.executable
Figures = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One piece of work.

    Attributes:
        surveys: Surveys of the account.
        responses: Responses of each.
        readers: Who is compared on it.
        latency_seconds: Delay of every answer.
        requests_per_minute: What the server allows and the setting says; None: all.
        grows: Whether the readers are run again with 1% new responses in every survey.
    """

    surveys: int
    responses: int
    readers: tuple[str, ...]
    latency_seconds: float = 0.0
    requests_per_minute: int | None = None
    grows: bool = False


CASES = {
    "50 x 2,000": Case(50, 2000, ("start", "bare", "store", "plain", "ours", "dlt"), grows=True),
    "50 x 2,000 at 50 ms": Case(50, 2000, ("start", "threads", "ours", "dlt"), 0.05),
    "500 x 100": Case(500, 100, ("start", "store", "empty", "ours", "dlt")),
    "50 x 100": Case(50, 100, ("start", "empty", "ours")),
    "1 x 100,000": Case(1, 100_000, ("ours",)),
    "1 x 1,000,000": Case(1, 1_000_000, ("ours",)),
    "50 x 20,000": Case(50, 20_000, ("ours", "dlt")),
    "10 x 100": Case(10, 100, ("ours",)),
    "100 x 100": Case(100, 100, ("ours",)),
    "1,000 x 100": Case(1000, 100, ("ours",)),
    "5,000 x 100": Case(5000, 100, ("ours",)),
    "80 x 4,000 at 3,000 a minute": Case(80, 4000, ("ours",), 0.01, 3000),
    "tick, 5,000 at 50 ms": Case(5000, 1, ("tick",), 0.05),
}
NAMES = {
    "start": "hotjar-assets sync, no survey",
    "bare": "bare loop, nothing stored",
    "threads": "bare loop, 8 threads, nothing stored",
    "store": "bare loop, stored through Arrow",
    "plain": "plain Dagster, one DataFrame",
    "empty": "Dagster, an asset that does nothing",
    "ours": "hotjar-assets sync",
    "ours again": "… nothing new",
    "ours +1%": "… 1% new in every survey",
    "dlt": "dlt rest_api, merge",
    "dlt +1%": "… 1% new in every survey",
    "tick": "new_surveys_sensor",
}
SCRIPTS = {
    "bare": "bare.py",
    "threads": "bare.py",
    "store": "bare_store.py",
    "plain": "plain_dagster.py",
    "empty": "empty_partitions.py",
    "dlt": "dlt_pipeline.py",
    "tick": "tick.py",
}
KEYS = {
    "store": "SELECT survey_id, id FROM responses",
    "plain": "SELECT survey_id, id FROM hotjar.survey_responses",
    "ours": "SELECT survey_id, response_id FROM hotjar.survey_responses",
    "dlt": "SELECT _surveys_id, id FROM hotjar.survey_responses",
}
"""The keys of the rows that a reader stored."""


class Server:
    """The server of one reader."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = self._answer()

    def say(self, command: str) -> str:
        """Give a command and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def served(case: Case, surveys: int) -> Iterator[Server]:
    """Serve the account of a case."""
    limit = case.requests_per_minute
    process = subprocess.Popen(
        [
            *(PYTHON, str(HERE / "server.py")),
            *("--surveys", str(surveys), "--responses", str(case.responses)),
            *("--latency", str(case.latency_seconds)),
            *(("--requests-per-minute", str(limit)) if limit else ()),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield Server(process)
    finally:
        process.communicate("")


def measure(command: list[str], folder: Path, environment: dict[str, str]) -> Figures:
    """Run a reader; return its figures."""
    started = os.times().elapsed
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = os.times().elapsed - started
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{command} failed:\n{err.read()[-2000:]}")
        line = json.loads(out.read().strip().splitlines()[-1])
    if "partitions" in line:
        line = {
            "rows": sum(figures["rows"] for figures in line["partitions"].values()),
            "requests": line["requests"],
        }
    return {
        **line,
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mb": usage.ru_maxrss // 1024,
    }


def checked(reader: str, figures: Figures, database: Path, expected: int) -> Figures:
    """Compare the keys a reader stored with how many there are, and add their checksum."""
    if reader in KEYS:
        with duckdb.connect(database) as connection:
            ((rows, keys, checksum),) = connection.execute(
                f"SELECT count(*), count(DISTINCT (s, r)), bit_xor(hash(s || '/' || r))"
                f"FROM ({KEYS[reader]}) AS k(s, r)"
            ).fetchall()
        if not rows == keys == expected:
            raise SystemExit(f"{reader} stored {rows} rows of {keys} keys, not {expected}")
        return {**figures, "checksum": checksum}
    if figures["rows"] != expected:
        raise SystemExit(f"{reader} has {figures['rows']} rows, not {expected}")
    return figures


def run_reader(reader: str, case: Case, dlt_python: str) -> Iterator[tuple[str, Figures]]:
    """Run one reader from nothing; ours also with nothing new, and where dlt runs, with 1% new."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    shutil.copy(ROOT / "hotjar_assets" / "dagster.yaml", folder)
    database = folder / "rows.duckdb"
    surveys = 0 if reader == "start" else case.surveys
    expected = surveys * case.responses
    if reader in {"start", "ours"}:
        command = [str(Path(PYTHON).with_name("hotjar-assets")), "sync", "--json", "--no-models"]
    else:
        python = dlt_python if reader == "dlt" else PYTHON
        command = [python, str(HERE / "readers" / SCRIPTS[reader])]
    try:
        with served(case, surveys) as server:
            environment = {
                **{k: value for k, value in os.environ.items() if not k.startswith("HOTJAR_")},
                "HOTJAR_API_URL": server.url,
                "HOTJAR_CLIENT_ID": "sandbox",
                "HOTJAR_CLIENT_SECRET": "sandbox-secret",
                "HOTJAR_SITE_ID": "1001",
                "HOTJAR_DATABASE": str(database),
                "HOTJAR_REQUESTS_PER_MINUTE": str(case.requests_per_minute or 10_000_000),
                "DAGSTER_HOME": str(folder),
                "PIPELINES": str(folder),
                "EXPECTED_ROWS": str(expected),
                "THREADS": "8" if reader == "threads" else "1",
            }
            first = checked(reader, measure(command, folder, environment), database, expected)
            if case.requests_per_minute:
                stats = json.loads(server.say("stats"))
                pages = case.surveys * (case.responses // 100)
                minutes = {key: stats[f"{key}seconds"] / 60 for key in ("", "page_")}
                first["requests_per_minute"] = round(stats["requests"] / minutes[""])
                first["pages_per_minute"] = round(stats["pages"] / minutes["page_"])
                first["busy_seconds"] = round(stats["page_seconds"], 1)
                # The token, two listings, and the pages: whatever is more was sent again.
                first["refused"] = stats["requests"] - pages - 3
            yield reader, first
            if reader == "ours":
                again = measure(command, folder, environment)
                yield "ours again", checked(reader, again, database, expected)
            if case.grows and reader in {"ours", "dlt"}:
                new = case.responses // 100
                server.say(f"add {new}")
                expected += case.surveys * new
                environment["EXPECTED_ROWS"] = str(expected)
                figures = measure(command, folder, environment)
                yield f"{reader} +1%", checked(reader, figures, database, expected)
    finally:
        shutil.rmtree(folder)


def run_case(name: str, case: Case, repeats: int, dlt_python: str) -> dict[str, list[Figures]]:
    """Run every reader of a case so many times, in turns, so that noise hits all alike."""
    results: dict[str, list[Figures]] = {}
    for _ in range(repeats):
        for reader in case.readers:
            if reader == "dlt" and not dlt_python:
                continue
            for label, figures in run_reader(reader, case, dlt_python):
                results.setdefault(label, []).append(figures)
                print(f"{name:<20} {label:<10} {figures}", flush=True)
    # The 1% is made while the server runs, with keys of its own in every run.
    first = [runs for label, runs in results.items() if not label.endswith("+1%")]
    checksums = {run["checksum"] for runs in first for run in runs if "checksum" in run}
    if len(checksums) > 1:
        raise SystemExit(f"{name}: not all readers stored the same keys")
    return results


def medians(results: dict[str, list[Figures]]) -> dict[str, dict[str, float]]:
    """Return the median of each figure of each reader."""
    return {
        reader: {
            key: round(statistics.median(run[key] for run in runs), 3)
            for key in runs[0]
            if key != "checksum"
        }
        for reader, runs in results.items()
    }


def machine() -> str:
    """Describe the machine."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    processor = model.group(1) if model else platform.machine()
    return f"{os.cpu_count()} cores ({processor}), Python {platform.python_version()}"


def main() -> None:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--case", action="append", choices=list(CASES), help="repeatable")
    parser.add_argument("--dlt", default="", help="a Python that has requirements-dlt.txt")
    given = parser.parse_args()
    path = HERE / "results.json"
    saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cases": {}}
    for name in given.case or CASES:
        results = run_case(name, CASES[name], given.repeats, given.dlt)
        saved["cases"][name] = {"repeats": given.repeats, "medians": medians(results)}
        saved["machine"] = machine()
        path.write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
