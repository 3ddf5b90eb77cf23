"""A run's evidence as one page: opens in a browser without a network.

python -m drills.judge.report build/drills/20261124-150000-7              writes report.html anew
python -m drills.judge.report build/drills/20261124-150000-7 --markdown   prints the ladder's table
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from drills.ground import Entry
from drills.judge import ladder
from standfast.errors import UserError
from standfast.ledger import acknowledgements

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATES = Path(__file__).parent
WIDTH, HEIGHT = 11.0, 2.2  # inches of a plot
BINS = 600  # points along the time
NEUTRAL = "#888888"  # readable on light and on dark
LINE, SECOND = "#2f81c7", "#c77d2f"
COLOURS = {
    "process": "#9aa0a6", "machine": "#d9a400", "second machine": "#e06c00",
    "two machines": "#e06c00", "all machines": "#d02f2f", "network": "#7d55c7",
    "data": "#b0307a", "disk": "#2f9a6b", "sink": "#4c9a9a", "memory": "#8a6d3b",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a report, or print its table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m drills.judge.report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="a run's evidence")
    parser.add_argument("--markdown", action="store_true", help="the ladder's table, to stdout")
    options = parser.parse_args(arguments)
    try:
        print(table(options.folder) if options.markdown else write(options.folder))
    except (OSError, ValueError, UserError) as error:
        print(f"standfast: {options.folder}: is no run's evidence: {error}", file=sys.stderr)
        return 2
    return 0


def write(folder: Path) -> Path:
    """Write report.html into a run's folder. Raises OSError, ValueError where it is none."""
    run, faults, verdict = _run(folder)
    path = folder / "report.html"
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True
    )
    page = templates.get_template("report.html.j2").render(
        run=run,
        verdict=verdict,
        figures=ladder.figures(faults, _collectors(faults)),
        faults=[(fault, _clock(run["began"], fault.at)) for fault in faults],
        kinds=_kinds(faults),
        plots=plots(folder, run, faults),
        began=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run["began"] / 1000)),
        minutes=(run["ended"] - run["began"]) / 60_000,
        settings=sorted(run.get("settings", {}).items()),
    )
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.rename(path)
    return path


def table(folder: Path) -> str:
    """The ladder's table as Markdown, with the run that it is of."""
    run, faults, verdict = _run(folder)
    real = [fault for fault in faults if fault.kind != "return"]
    day = time.strftime("%Y-%m-%d", time.gmtime(run["began"] / 1000))
    minutes = (run["ended"] - run["began"]) / 60_000
    lines = [
        f"Run of {day}, seed {run['seed']}, commit {run['commit']}: {len(real)} faults of "
        f"{len(_kinds(faults))} kinds in {minutes:.0f} minutes at {run['rate']:.0f} records/s; "
        f"{verdict.get('acknowledged', 0):,} records acknowledged; verdict: "
        f"{'good' if verdict.get('good') else 'NOT GOOD'}.",
        "",
        "| Pause, in seconds | Times | Median | Worst | Target: median, worst | |",
        "|---|---|---|---|---|---|",
    ]
    for one in ladder.figures(faults, _collectors(faults)):
        aims = [f"{aim:g}" if aim is not None else "-" for aim in (one.rung.median, one.rung.worst)]
        word = "" if aims == ["-", "-"] else "reached" if one.reached else "**missed**"
        lines.append(
            f"| {one.rung.name} | {one.count} | {one.median:.1f} | {one.worst:.1f} | "
            f"{', '.join(aims)} | {word} |"
        )
    return "\n".join(lines)


# --- the evidence ---


def _run(folder: Path) -> tuple[dict[str, Any], list[Entry], dict[str, Any]]:
    run = json.loads((folder / "run.json").read_text())
    with (folder / "faults.jsonl").open() as file:
        faults = [Entry(**json.loads(line)) for line in file]
    verdict: dict[str, Any] = {"rules": {}, "unknown": ["no judgement was made"]}
    if (folder / "verdict.json").exists():
        verdict = json.loads((folder / "verdict.json").read_text())
    said = {**verdict["rules"], "not looked at": verdict["unknown"]}
    verdict["problems"] = [f"{rule}: {line}" for rule, lines in said.items() for line in lines]
    real = [fault for fault in faults if fault.kind != "return"]
    helped = run.get("problems") or not real or any(fault.error for fault in faults)
    verdict["kept"] = not verdict["problems"]
    verdict["good"] = verdict["kept"] and not helped
    return run, sorted(faults, key=lambda fault: fault.at), verdict


def _collectors(faults: Iterable[Entry]) -> list[str]:
    return sorted({name for fault in faults for name in fault.stored})


def _kinds(faults: Iterable[Entry]) -> dict[str, int]:
    found: dict[str, int] = {}
    for fault in faults:
        if fault.kind != "return":
            name = f"{fault.kind} {fault.unit}".strip()
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def _clock(began: int, at: int) -> str:
    minutes, seconds = divmod(max(0, at - began) // 1000, 60)
    return f"{minutes}:{seconds:02d}"


# --- the plots ---


def plots(folder: Path, run: Mapping[str, Any], faults: Sequence[Entry]) -> list[Markup]:
    """Throughput, latency, and how many live and are in sync, over time; as SVG."""
    length = max(1.0, (run["ended"] - run["began"]) / 1000)
    width = max(1.0, length / BINS)
    bins: dict[int, list[float]] = {}
    for line in acknowledgements(folder / "ledger"):
        place = int((line.at - run["began"]) / 1000 / width)
        bins.setdefault(place, []).append(line.latency)
    times = [n * width / 60 for n in range(int(length / width) + 1)]
    counts = [len(bins.get(n, ())) / width for n in range(len(times))]
    found = [_plot("acknowledged records a second", times, {"": counts}, faults, run)]
    halves = [statistics.median(bins[n]) if n in bins else None for n in range(len(times))]
    most = [_high(bins[n]) if n in bins else None for n in range(len(times))]
    lines = {"median": halves, "99 of 100": most}
    title = "acknowledgement latency, milliseconds"
    found.append(_plot(title, times, lines, faults, run, log=True))
    if (folder / "observed.jsonl").exists():
        looks = _observed(folder / "observed.jsonl", str(run["topic"]))
        when = [(at - run["began"]) / 60_000 for at, _, _ in looks]
        series = {
            "brokers registered": [brokers for _, brokers, _ in looks],
            "in sync, in the worst partition": [least for _, _, least in looks],
        }
        found.append(_plot("brokers and in-sync replicas", when, series, faults, run, steps=True))
    return found


def _high(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


def _observed(path: Path, topic: str) -> list[tuple[int, int | None, int | None]]:
    """Each look: when, how many brokers are registered, the least in-sync set; None: not seen."""
    isr: dict[str, int] = {}
    found: list[tuple[int, int | None, int | None]] = []
    with path.open() as file:
        for line in file:
            look = json.loads(line)
            for name, state in look.get("isr", {}).items():
                if name.startswith(f"{topic}/"):
                    isr[name] = len(state["isr"]) if state["leader"] >= 0 else 0
            known = bool(look.get("through"))
            brokers = len(look["brokers"]) if known else None
            found.append((look["at"], brokers, min(isr.values(), default=None) if known else None))
    return found


def _plot(
    title: str,
    times: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    faults: Sequence[Entry],
    run: Mapping[str, Any],
    log: bool = False,
    steps: bool = False,
) -> Markup:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "standfast", "font.family": "sans-serif",
        "text.color": NEUTRAL, "axes.labelcolor": NEUTRAL, "axes.edgecolor": NEUTRAL,
        "xtick.color": NEUTRAL, "ytick.color": NEUTRAL, "font.size": 9,
    })  # fmt: skip
    figure, axes = pyplot.subplots(figsize=(WIDTH, HEIGHT))
    _mark(axes, faults, run)
    for (name, values), colour in zip(series.items(), (LINE, SECOND), strict=False):
        shown = [float("nan") if value is None else value for value in values]
        style = {"drawstyle": "steps-post"} if steps else {}
        axes.plot(times, shown, color=colour, linewidth=1.1, label=name, **style)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("minutes")
    axes.set_xlim(0, (run["ended"] - run["began"]) / 60_000)
    axes.spines[["top", "right"]].set_visible(False)
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if len(series) > 1:
        axes.legend(frameon=False, ncols=2, loc="upper right", bbox_to_anchor=(1, 1.2))
    text = io.StringIO()
    # The same margins for all: what happened at one moment stands below it in the next plot.
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.21, top=0.84)
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    pyplot.close(figure)
    svg = text.getvalue()
    return Markup(svg[svg.index("<svg") :])


def _mark(axes: Axes, faults: Sequence[Entry], run: Mapping[str, Any]) -> None:
    for fault in faults:
        if fault.kind != "return":
            at = (fault.at - run["began"]) / 60_000
            colour = COLOURS.get(fault.rung, NEUTRAL)
            wide = 1.0 if "machine" in fault.rung else 0.5
            axes.axvline(at, color=colour, linewidth=wide, alpha=0.6, zorder=0)


if __name__ == "__main__":
    sys.exit(main())
