"""What compare.py makes of its results: table.md, table.csv and times.svg."""

import csv
import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from side import WORKLOADS

OURS = "Keratin"
LIMITS = ["by hand", "products"]


@dataclass
class Result:
    """A row of table.csv: times in milliseconds, or the reason why there are none."""

    workload: str
    participant: str
    version: str = ""
    times: list = field(default_factory=list)
    rss_mib: float = None
    reason: str = None  # why there are no times
    note: str = None  # a caution about the times


def number(x):
    """Three significant digits, or all before the point."""
    return f"{x:.{max(0, 2 - math.floor(math.log10(x)))}f}"


def cell(result):
    low, high = number(min(result.times)), number(max(result.times))
    return f"{number(median(result.times))} ({low}–{high})"


class Footnotes:
    def __init__(self):
        self.texts = []

    def mark(self, text):
        if not text:
            return ""
        if text not in self.texts:
            self.texts.append(text)
        return f"[^{self.texts.index(text) + 1}]"

    def lines(self):
        return [f"[^{i}]: {text}" for i, text in enumerate(self.texts, start=1)]


def ratios(row):
    """Fastest peer to ours, ours to each limit; a dash where one is missing."""
    times = {name: median(result.times) for name, result in row.items() if result.times}
    ours = times.get(OURS)
    peers = [name for name in times if name != OURS and name not in LIMITS]
    fastest = min(peers, key=times.get, default=None)
    yield f"{times[fastest] / ours:.2f} ({fastest})" if ours and fastest else "–"
    for limit in LIMITS:
        yield f"{ours / times[limit]:.2f}" if ours and limit in times else "–"


def markdown(results, names, machine, cautions):
    notes = Footnotes()
    rows = {}
    for result in results:
        rows.setdefault(result.workload, {})[result.participant] = result
    heads = ["ms", *names, "fastest peer / ours", *(f"ours / {limit}" for limit in LIMITS)]
    table = [heads, ["---"] * len(heads)]
    for workload, row in rows.items():
        cells = [workload + notes.mark(cautions.get(workload))]
        for name in names:
            result = row[name]
            text = cell(result) if result.times else "–"
            cells.append(text + notes.mark(result.reason or result.note))
        table.append([*cells, *ratios(row)])
    memory = [["peak MiB", *names], ["---"] * (1 + len(names))]
    for workload, row in rows.items():
        peaks = [row[name].rss_mib for name in names]
        if any(peaks):
            memory.append([workload, *(f"{peak:.0f}" if peak else "–" for peak in peaks)])
    lines = [
        f"Median (minimum–maximum) milliseconds per step, {machine}.",
        "",
        *("| " + " | ".join(line) + " |" for line in table),
        "",
        "Peak memory of the process, with the data.",
        "",
        *("| " + " | ".join(line) + " |" for line in memory),
        "",
        *notes.lines(),
        "",
        *(f"- {name}: {version}" for name, version in versions(results)),
    ]
    return "\n".join(lines) + "\n"


def versions(results):
    """Each participant with what it called itself; with the workload where that differs."""
    for name in dict.fromkeys(result.participant for result in results):
        said = Counter(r.version for r in results if r.participant == name and r.version)
        if not said:
            continue
        usual = said.most_common(1)[0][0]
        others = [
            f"{r.version} for {r.workload}"
            for r in results
            if r.participant == name and r.version not in ("", usual)
        ]
        yield name, "; ".join([usual, *others])


def write_csv(path, results):
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        heads = ["workload", "participant", "version", "median_ms", "min_ms", "max_ms", "rss_mib"]
        table.writerow(heads)
        for r in results:
            times = [median(r.times), min(r.times), max(r.times)] if r.times else [None] * 3
            cells = [t if t is None else f"{t:.5g}" for t in times]
            rss = None if r.rss_mib is None else f"{r.rss_mib:.0f}"
            table.writerow([r.workload, r.participant, r.version, *cells, rss])


COLORS = {
    OURS: "#1f4e9c", "by hand": "#9a9a9a", "products": "#c4c4c4",
    "torch": "#d9541e", "torch.compile": "#f0a07c", "torch graphs": "#8c2f0a",
    "Keras JAX": "#2f8f5b", "Keras TensorFlow": "#c9a227", "Keras torch": "#a8552a",
    "jax.jit": "#7fc29b", "ONNX Runtime": "#7a5ea8",
}  # fmt: skip


def draw(path, results, names, machine):
    """A panel for each workload: how many times our time each participant takes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = {}
    for result in results:
        if result.times:
            panels.setdefault(result.workload, {})[result.participant] = result
    panels = {workload: row for workload, row in panels.items() if OURS in row and len(row) > 1}
    if not panels:
        return  # Keratin was measured nowhere beside another
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    tallest = max(map(len, panels.values()))
    plt.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "keratin"})
    figure, axes = plt.subplots(
        lines, columns, squeeze=False, layout="constrained",
        figsize=(4 * columns, 0.5 + lines * (0.6 + 0.2 * tallest)),
    )  # fmt: skip
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (workload, row) in zip(axes.flat, panels.items()):
        shown = [name for name in names if name in row]
        draw_panel(axis, [row[name] for name in shown], median(row[OURS].times))
        axis.set_title(workload, loc="left", fontweight="bold")
        axis.set_ylim(tallest - 0.4, -0.6)
    alike = {}  # panels of training share a scale, so that they compare; so do those of predict
    for axis, workload in zip(axes.flat, panels):
        trains = workload in WORKLOADS and WORKLOADS[workload].training
        alike.setdefault("train" if trains else workload.partition("-")[0], []).append(axis)
    for group in alike.values():
        fit_scale(group)
    title = "Time per step as a multiple of Keratin's (log scale, less is faster)\n" + machine
    figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    figure.savefig(path)
    plt.close(figure)


def draw_panel(axis, row, ours):
    """Bars from 1, our time, to the median; a line from minimum to maximum; the times in words."""
    for y, result in enumerate(row):
        name = result.participant
        at, low, high = (f(result.times) / ours for f in (median, min, max))
        axis.barh(y, at - 1, left=1, height=0.72, color=COLORS[name])
        axis.plot([low, high], [y, y], color="#222222", linewidth=0.8)
        label = number(median(result.times)) + " ms"
        if name == OURS:
            axis.plot(1, y, marker="D", color=COLORS[OURS], markersize=5)
        else:
            label += f"  ×{number(at)}"
        axis.annotate(label, (max(high, 1), y), (6, 0), textcoords="offset points",
                      va="center", fontsize=8)  # fmt: skip
    axis.axvline(1, color=COLORS[OURS], linewidth=1)
    axis.set_yticks(range(len(row)), [result.participant for result in row])
    axis.set_xscale("log")
    axis.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


def fit_scale(panels):
    """One scale for these panels, with room on the right for the times in words."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low = min(axis.dataLim.x0 for axis in panels) / 1.05
    high = max(axis.dataLim.x1 for axis in panels)
    ticks = [d * 10**e for e in range(-4, 7) for d in ((1, 2, 5) if high / low < 100 else (1,))]
    ticks = [tick for tick in ticks if low <= tick <= high * 1.3]
    for axis in panels:
        axis.set_xlim(low, high * (high / low) ** 0.8)
        axis.xaxis.set_major_locator(FixedLocator(ticks))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
