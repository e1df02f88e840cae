"""Draw `results.json` as `results.svg`: the readers side by side, and how ours grows.

.venv/bin/python benchmarks/plot.py
"""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
COMPARED = ("50 x 2,000", "50 x 2,000 at 50 ms", "500 x 100")
LABELS = {
    "bare": "bare loop,\nnothing stored",
    "threads": "bare loop, 8 threads,\nnothing stored",
    "store": "bare loop,\nstored",
    "plain": "plain Dagster",
    "empty": "Dagster, an asset\nthat does nothing",
    "ours": "hotjar-assets sync",
    "ours again": "… nothing new",
    "ours +1%": "… 1% new",
    "dlt": "dlt",
    "dlt +1%": "dlt, 1% new",
}
SCALE = {10: "10 x 100", 100: "100 x 100", 1000: "1,000 x 100", 5000: "5,000 x 100"}
OURS, OTHERS = "#0b7285", "#adb5bd"


def compare(axes: Any, name: str, medians: dict[str, dict[str, float]]) -> None:
    """Draw the wall time of each reader of a case."""
    shown = {reader: medians[reader]["wall_seconds"] for reader in LABELS if reader in medians}
    bars = axes.barh(
        [LABELS[reader] for reader in shown],
        list(shown.values()),
        color=[OURS if reader.startswith("ours") else OTHERS for reader in shown],
    )
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set_title(f"{name}: seconds, whole process", fontsize=10)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.margins(x=0.15)


def grow(axes: Any, cases: dict[str, Any]) -> None:
    """Draw time and memory over the number of surveys."""
    surveys = [count for count, name in SCALE.items() if name in cases]
    first, again = (
        [cases[SCALE[count]]["medians"][reader] for count in surveys]
        for reader in ("ours", "ours again")
    )
    for label, runs, style in (("first sync", first, "-o"), ("nothing new", again, "--o")):
        seconds = [run["wall_seconds"] for run in runs]
        axes.plot(surveys, seconds, style, color=OURS, label=f"{label}, seconds")
    axes.set_xlabel("surveys of 100 responses", fontsize=8)
    axes.set_ylabel("seconds", fontsize=8)
    axes.set_title("growth with the surveys", fontsize=10)
    memory = axes.twinx()
    memory.plot(surveys, [run["peak_mb"] for run in first], ":s", color="#868e96", label="peak MB")
    memory.set_ylim(0, 500)
    memory.set_ylabel("peak memory, MB", fontsize=8)
    lines = [*axes.get_lines(), *memory.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines], fontsize=8, loc="upper left")
    for each in (axes, memory):
        each.tick_params(labelsize=8)


def main() -> None:
    """Draw everything there are results of."""
    cases = json.loads((HERE / "results.json").read_text(encoding="utf-8"))["cases"]
    figure, all_axes = plt.subplots(2, 2, figsize=(12, 8))
    *compared, last = all_axes.flat
    for axes, name in zip(compared, COMPARED, strict=True):
        compare(axes, name, cases[name]["medians"])
    grow(last, cases)
    figure.tight_layout()
    # Without a date, so that the same results give the same file.
    figure.savefig(HERE / "results.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
