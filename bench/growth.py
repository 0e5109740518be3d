"""Time and memory of a training step against time steps, batch size and units.

    python3 bench/growth.py PROGRAM [OUTPUT_FOLDER]

runs PROGRAM (bench_growth) with one and with two threads in turn and writes growth.csv and
growth.svg. The model is LSTM(units), Dense(10); a curve varies one size of the seed model.
"""

import csv
import json
import os
import statistics
import subprocess
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

plt.rcParams["svg.fonttype"] = "none"

SEED = {"time": 10, "batch": 64, "features": 32, "units": 128}
CURVES = {
    "time": [10, 20, 50, 100, 200, 500, 1000, 2000],
    "batch": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
    "units": [16, 32, 64, 128, 256, 512, 1024],
}
ROUNDS = 3


def measure(program, sizes, threads):
    command = [program] + [str(sizes[name]) for name in SEED]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def point(program, sizes):
    """Medians of ROUNDS runs, one and two threads in turn."""
    runs = {1: [], 2: []}
    for _ in range(ROUNDS):
        for threads in runs:
            runs[threads].append(measure(program, sizes, threads))
    row = dict(sizes, computed_mib=runs[1][0]["computed_mib"])
    for threads, results in runs.items():
        row[f"ms_{threads}"] = statistics.median(r["ms"] for r in results)
    row["peak_mib"] = max(r["peak_mib"] - r["start_mib"] for r in runs[2])
    return row


def draw(rows, file):
    figure, axes = plt.subplots(2, len(CURVES), figsize=(13, 7), sharey="row")
    for column, (name, values) in enumerate(CURVES.items()):
        points = [row for row in rows if row["curve"] == name]
        above, below = axes[0][column], axes[1][column]
        above.loglog(values, [p["ms_1"] for p in points], "o-", label="one thread")
        above.loglog(values, [p["ms_2"] for p in points], "s-", label="two threads")
        below.loglog(values, [p["peak_mib"] for p in points], "o-", label="peak, above an empty process")
        below.loglog(values, [p["computed_mib"] for p in points], "--", label="computed from what is kept")
        fixed = ", ".join(f"{key} {value}" for key, value in SEED.items() if key != name)
        above.set_title(f"against {name}\n({fixed})", fontsize=10)
        below.set_xlabel(name)
        for panel in (above, below):
            panel.grid(True, alpha=0.25)
    axes[0][0].set_ylabel("ms per training step")
    axes[1][0].set_ylabel("MiB")
    axes[0][0].legend()
    axes[1][0].legend()
    figure.tight_layout()
    figure.savefig(file)


def main():
    program = sys.argv[1]
    folder = sys.argv[2] if len(sys.argv) > 2 else "out/bench"
    os.makedirs(folder, exist_ok=True)
    rows = []
    for name, values in CURVES.items():
        for value in values:
            rows.append({"curve": name} | point(program, SEED | {name: value}))
            print(*(f"{key} {number:.4g}" if isinstance(number, float) else f"{key} {number}"
                    for key, number in rows[-1].items()), sep="  ", flush=True)
    with open(f"{folder}/growth.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, f"{folder}/growth.svg")


main()
