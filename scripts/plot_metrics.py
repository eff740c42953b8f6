#!/usr/bin/env python3
"""Draws the training curves of one or more runs as an SVG, and prints a table that compares them.

usage: scripts/plot_metrics.py RUN_DIR... [--x step|tokens|targets|flops|seconds] [--output CURVES.svg] [--csv POINTS.csv] [--table]

Reads RUN_DIR/metrics.jsonl, and the newest checkpoint's manifest.json for the number of parameters. Needs nothing but
Python's standard library. Where a resumed run logged a step twice, the later line counts. Runs without steps are passed
over. tokens count padding, targets do not; flops are the run's own count of forward and backward (of an older run that did
not write it, 6 times parameters times tokens), seconds the time spent in steps.
"""
import argparse
import csv
import itertools
import json
import math
import pathlib
import statistics
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 46, 52
MOST_POINTS = 300  # more steps than that are drawn as means of equal bins

LEGEND_COLUMNS, LEGEND_ROW = 4, 20
# Told apart by colour, and from the fifth on by dashes too.
LIGHT = ("#0969da", "#bc4c00", "#1a7f37", "#8250df")
DARK = ("#58a6ff", "#f0883e", "#3fb950", "#bc8cff")
DASHES = ("none", "7 3", "2 3", "9 3 2 3")
AXES = {
    "step": "step (optimizer updates)",
    "tokens": "tokens trained on",
    "targets": "target tokens trained on",
    "flops": "training operations",
    "seconds": "seconds in steps",
}


def colours(palette):
    return " ".join(f".run{index} {{ stroke: {colour}; }}" for index, colour in enumerate(palette))


STYLE = f"""
  .paper {{ fill: #ffffff; }}
  text {{ fill: #24292f; stroke: none; font: 13px system-ui, sans-serif; }}
  .grid {{ stroke: #d8dee4; }} .axis {{ stroke: #57606a; }}
  {colours(LIGHT)}
  .curve {{ fill: none; stroke-width: 1.6; stroke-linejoin: round; }}
  .point {{ fill: #ffffff; stroke-width: 2; stroke-dasharray: none; }}
  @media (prefers-color-scheme: dark) {{
    .paper, .point {{ fill: #0d1117; }} text {{ fill: #e6edf3; }}
    .grid {{ stroke: #30363d; }} .axis {{ stroke: #8b949e; }}
    {colours(DARK)}
  }}"""


class Run:
    """One run directory: its step and evaluation events by step, and its model's size."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.name = self.directory.name
        self.steps, self.evaluations = {}, {}
        self.operations_per_token = None
        metrics = self.directory / "metrics.jsonl"
        for number, line in enumerate(metrics.read_text(encoding="utf-8").splitlines(), 1):
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                print(f"{metrics}:{number}: skipped, not a whole JSON object", file=sys.stderr)
                continue
            if isinstance(event, dict) and event.get("event") == "start":
                self.operations_per_token = event.get("operations_per_token", self.operations_per_token)
            if not isinstance(event, dict) or event.get("loss") is None:  # a failed checkpoint, or a loss that was not finite
                continue
            if event["event"] == "step":
                self.steps[event["step"]] = event
            elif event["event"] == "evaluation":
                self.evaluations[event["step"]] = event

    def places(self, axis):
        """Where each step lies on the axis `axis`."""
        if axis == "step":
            return {step: step for step in self.steps}
        if axis in ("seconds", "targets"):
            ends = itertools.accumulate(self.of_step(step, axis) for step in sorted(self.steps))
            return dict(zip(sorted(self.steps), ends))
        scale = 1 if axis == "tokens" else self.operations_per_token or 6 * self.parameters_or_fail()
        return {step: scale * event["tokens"] for step, event in self.steps.items()}

    def of_step(self, step, axis):
        """What a single step adds to an axis of sums."""
        key = {"seconds": "step_seconds", "targets": "step_target_tokens"}[axis]
        if key not in self.steps[step]:
            raise ValueError(f"{self.directory}: its step {step} does not tell {key}, which --x {axis} needs")
        return self.steps[step][key]

    def parameters_or_fail(self):
        parameters = self.parameters()
        if parameters is None:
            raise ValueError(f"{self.directory}: has no checkpoint yet that tells its parameters, which --x flops needs")
        return parameters

    def training_points(self, axis):
        places = self.places(axis)
        return [(places[step], self.steps[step]["loss"]) for step in sorted(self.steps)]

    def training_curve(self, axis):
        """(place, loss) pairs, averaged over equal bins where there are too many to draw."""
        points = self.training_points(axis)
        size = math.ceil(len(points) / MOST_POINTS)
        bins = [points[i : i + size] for i in range(0, len(points), size)]
        return [tuple(statistics.fmean(axis) for axis in zip(*bin_)) for bin_ in bins]

    def validation_points(self, axis):
        places = self.places(axis)
        return [(places[step], self.evaluations[step]["loss"]) for step in sorted(self.evaluations) if step in places]

    def parameters(self):
        """Logical parameters, from the newest checkpoint's manifest; None without one."""
        manifests = sorted(self.directory.glob("checkpoints/step-*/manifest.json"))
        if not manifests:
            return None
        table = json.loads(manifests[-1].read_text(encoding="utf-8"))["parameters"]
        return sum(math.prod(parameter["shape"]) for parameter in table)

    def summary(self):
        """One row of the table, as text."""
        last = self.steps[max(self.steps)]
        evaluation = self.evaluations[max(self.evaluations)] if self.evaluations else None
        rate = statistics.median(event["tokens_per_second"] for event in self.steps.values())
        parameters = self.parameters()
        return [
            self.name,
            f"{parameters:,}" if parameters else "-",
            f"{last['step']:,}",
            f"{last['tokens']:,}",
            f"{evaluation['loss']:.4f}" if evaluation else "-",
            f"{evaluation['perplexity']:.2f}" if evaluation else "-",
            f"{rate:,.0f}",
        ]


def nice_ticks(low, high, wanted=6):
    """Round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-9)
    power = 10 ** math.floor(math.log10(span / wanted))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= wanted)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [index * step for index in range(first, last + 1)]


class Chart:
    """Collects SVG elements; knows where a (place, loss) pair lies. The legend stands above, in rows."""

    def __init__(self, points, axis, runs):
        places, losses = zip(*points)
        self.axis = axis
        self.x_ticks = nice_ticks(0, max(places), 8 if axis == "step" else 6)
        self.y_ticks = nice_ticks(min(losses), max(losses))
        self.top = TOP + LEGEND_ROW * (math.ceil(runs / LEGEND_COLUMNS) - 1)
        self.height = HEIGHT + self.top - TOP
        self.elements = []

    def x(self, place):
        return LEFT + (WIDTH - LEFT - RIGHT) * place / self.x_ticks[-1]

    def y(self, loss):
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.top + (self.height - self.top - BOTTOM) * (high - loss) / (high - low)

    def line(self, kind, x1, y1, x2, y2):
        self.elements.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x, y, words, anchor="middle", extra=""):
        self.elements.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(words)}</text>')

    def axes(self):
        bottom = self.height - BOTTOM
        for loss in self.y_ticks:
            self.line("grid", LEFT, self.y(loss), WIDTH - RIGHT, self.y(loss))
            self.text(LEFT - 8, self.y(loss) + 4, f"{loss:g}", "end")
        for place in self.x_ticks:
            self.line("axis", self.x(place), bottom, self.x(place), bottom + 5)
            self.text(self.x(place), bottom + 20, f"{place:g}")
        self.line("axis", LEFT, bottom, WIDTH - RIGHT, bottom)
        self.text((LEFT + WIDTH - RIGHT) / 2, self.height - 12, f"{AXES[self.axis]}; line: training, circle: validation")
        middle = (self.top + bottom) / 2
        self.text(18, middle, "loss (nats a token)", extra=f' transform="rotate(-90 18 {middle:.1f})"')

    def run(self, index, run):
        """The run's curve, its validation points and its place in the legend."""
        path = " ".join(f"{self.x(place):.1f},{self.y(loss):.1f}" for place, loss in run.training_curve(self.axis))
        marks = "".join(
            f'<circle class="point" cx="{self.x(place):.1f}" cy="{self.y(loss):.1f}" r="4"/>'
            for place, loss in run.validation_points(self.axis)
        )
        left, row = LEFT + 10 + index % LEGEND_COLUMNS * 170, 24 + index // LEGEND_COLUMNS * LEGEND_ROW
        legend = (
            f'<polyline class="curve" points="{left},{row} {left + 26},{row}"/>'
            f'<text x="{left + 34}" y="{row + 4}">{escape(run.name)}</text>'
        )
        dashes = DASHES[index // len(LIGHT) % len(DASHES)]
        self.elements.append(
            f'<g class="run{index % len(LIGHT)}" stroke-dasharray="{dashes}">'
            f'<polyline class="curve" points="{path}"/>{marks}{legend}</g>'
        )

    def svg(self):
        body = "\n".join(self.elements)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            f'width="{WIDTH}" height="{self.height}" role="img" aria-label="Training loss by {self.axis}">\n'
            f'<style>{STYLE}\n</style>\n<rect class="paper" width="100%" height="100%"/>\n{body}\n</svg>\n'
        )


def draw(runs, axis):
    points = [point for run in runs for point in run.training_curve(axis) + run.validation_points(axis)]
    chart = Chart(points, axis, len(runs))
    chart.axes()
    for index, run in enumerate(runs):
        chart.run(index, run)
    return chart.svg()


def write_csv(runs, axis, path):
    """Every point, not averaged, for other programs to draw."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "kind", axis, "loss"])
        for run in runs:
            for kind, points in (("training", run.training_points(axis)), ("validation", run.validation_points(axis))):
                writer.writerows([run.name, kind, place, loss] for place, loss in points)


def print_table(runs):
    heading = ["run", "parameters", "steps", "tokens", "validation loss", "perplexity", "tokens/s"]
    rows = [heading] + [run.summary() for run in runs]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR")
    parser.add_argument("--x", choices=AXES, default="step", help="what the horizontal axis shows")
    parser.add_argument("--output", metavar="CURVES.svg", help="where the chart is written, as SVG")
    parser.add_argument("--csv", metavar="POINTS.csv", help="where the chart's points are written")
    parser.add_argument("--table", action="store_true", help="print a table of the runs")
    arguments = parser.parse_args()
    if arguments.output and not arguments.output.endswith(".svg"):
        parser.error(f"--output {arguments.output}: only SVG is written; give a name that ends in .svg")
    try:
        draw_and_print(arguments)
    except (OSError, ValueError) as error:
        sys.exit(f"plot_metrics.py: {error}")


def draw_and_print(arguments):
    runs = [Run(directory) for directory in arguments.runs]
    for run in runs:
        if not run.steps:
            print(f"plot_metrics.py: {run.directory}: holds no steps yet, passed over", file=sys.stderr)
    runs = [run for run in runs if run.steps]
    if not runs:
        raise ValueError("no run has steps to show")
    for run in runs:
        if arguments.x == "flops" and not run.operations_per_token:
            print(f"plot_metrics.py: {run.directory}: does not tell its operations a token; 6 x parameters is taken, which "
                  "counts the embedding and leaves attention out", file=sys.stderr)
    if arguments.output:
        pathlib.Path(arguments.output).write_text(draw(runs, arguments.x), encoding="utf-8")
    if arguments.csv:
        write_csv(runs, arguments.x, arguments.csv)
    if arguments.table or not (arguments.output or arguments.csv):
        print_table(runs)


if __name__ == "__main__":
    main()
