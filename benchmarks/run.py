"""Compare readers on the same work, side by side, and write `results.json` and a plot.

    .venv/bin/python benchmarks/run.py [--repeats 5] [--case NAME ...] [--dlt PYTHON]

Each reader is a process of its own against one server in another process. The rows each reader
stored are checked against the account; wall time, CPU time and peak memory are the kernel's.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = sys.executable


@dataclass(frozen=True)
class Case:
    """One piece of work.

    Attributes:
        surveys: Surveys of the account.
        responses: Responses of each.
        latency_seconds: Delay of every answer.
        readers: Who is compared on it.
    """

    surveys: int
    responses: int
    latency_seconds: float
    readers: tuple[str, ...]


CASES = {
    "50 x 2,000, 0 ms": Case(50, 2000, 0, ("bare", "store", "plain", "ours", "dlt")),
    "50 x 2,000, 50 ms": Case(50, 2000, 0.05, ("threads", "ours", "dlt")),
    "500 x 100, 0 ms": Case(500, 100, 0, ("store", "empty", "ours", "dlt")),
    "1 x 100,000": Case(1, 100_000, 0, ("ours",)),
    "1 x 1,000,000": Case(1, 1_000_000, 0, ("ours",)),
    "10 x 100": Case(10, 100, 0, ("ours",)),
    "100 x 100": Case(100, 100, 0, ("ours",)),
    "1,000 x 100": Case(1000, 100, 0, ("ours",)),
}
NAMES = {
    "bare": "bare loop, nothing stored",
    "threads": "bare loop, 8 threads, nothing stored",
    "store": "bare loop, stored through Arrow",
    "plain": "plain Dagster, one DataFrame",
    "empty": "Dagster, an asset that does nothing",
    "ours": "hotjar-assets sync",
    "ours again": "hotjar-assets sync, nothing new",
    "dlt": "dlt rest_api",
}
SCRIPTS = {
    "bare": "bare.py",
    "threads": "bare.py",
    "store": "bare_store.py",
    "plain": "plain_dagster.py",
    "empty": "empty_partitions.py",
    "dlt": "dlt_pipeline.py",
}


def measure(command: list[str], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
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
            "work_seconds": line["seconds"],
            "rows": sum(figures["rows"] for figures in line["partitions"].values()),
            "requests": line["requests"],
        }
    return {
        **line,
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mb": usage.ru_maxrss // 1024,
    }


def run_reader(
    reader: str, case: Case, url: str, dlt_python: str
) -> list[tuple[str, dict[str, Any]]]:
    """Run one reader from nothing, in a folder of its own; ours also a second time."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    shutil.copy(ROOT / "dagster.yaml", folder)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOTJAR_")},
        "HOTJAR_API_URL": url,
        "HOTJAR_CLIENT_ID": "sandbox",
        "HOTJAR_CLIENT_SECRET": "sandbox-secret",
        "HOTJAR_SITE_ID": "1001",
        "HOTJAR_DATABASE": str(folder / "rows.duckdb"),
        "HOTJAR_REQUESTS_PER_MINUTE": "10000000",
        "DAGSTER_HOME": str(folder),
        "PIPELINES": str(folder),
        "EXPECTED_ROWS": str(case.surveys * case.responses),
        "THREADS": "8" if reader == "threads" else "1",
    }
    try:
        if reader == "ours":
            command = [str(Path(PYTHON).with_name("hotjar-assets")), "sync", "--json"]
            return [
                ("ours", measure(command, folder, environment)),
                ("ours again", measure(command, folder, environment)),
            ]
        python = dlt_python if reader == "dlt" else PYTHON
        script = [python, str(HERE / "readers" / SCRIPTS[reader])]
        return [(reader, measure(script, folder, environment))]
    finally:
        shutil.rmtree(folder)


def run_case(
    name: str, case: Case, repeats: int, dlt_python: str
) -> dict[str, list[dict[str, Any]]]:
    """Run every reader of a case so many times, in turns, so that noise hits all alike."""
    results: dict[str, list[dict[str, Any]]] = {}
    server = subprocess.Popen(
        [
            *(PYTHON, str(HERE / "server.py")),
            *("--surveys", str(case.surveys), "--responses", str(case.responses)),
            *("--latency", str(case.latency_seconds)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for _ in range(repeats):
            for reader in case.readers:
                if reader == "dlt" and not dlt_python:
                    continue
                for label, figures in run_reader(reader, case, url, dlt_python):
                    if figures["rows"] != case.surveys * case.responses:
                        raise SystemExit(f"{name}: {label} has {figures['rows']} rows")
                    results.setdefault(label, []).append(figures)
                    print(f"{name:<20} {label:<12} {figures}", flush=True)
    finally:
        server.communicate("")
    return results


def medians(results: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return the median of each figure of each reader."""
    return {
        reader: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
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
    for name, case in saved["cases"].items():
        print(f"\n{name} (median of {case['repeats']})")
        for reader, figures in case["medians"].items():
            print(f"  {NAMES[reader]:<40} {figures}")


if __name__ == "__main__":
    main()
