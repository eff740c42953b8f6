#!/usr/bin/env python3
"""Draws the training curves of one or more runs as an SVG, and prints a table that compares them.

usage: scripts/plot_metrics.py RUN_DIR... [--output CURVES.svg] [--table]

Reads RUN_DIR/metrics.jsonl, and the newest checkpoint's manifest.json for the number of parameters. Needs nothing but
Python's standard library. Where a resumed run logged a step twice, the later line counts.
"""
import argparse
import json
import math
import pathlib
import statistics
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 46, 52
MOST_POINTS = 300  # more steps than that are drawn as means of equal bins

STYLE = """
  .paper { fill: #ffffff; }
  text { fill: #24292f; stroke: none; font: 13px system-ui, sans-serif; }
  .grid { stroke: #d8dee4; } .axis { stroke: #57606a; }
  .run0 { stroke: #0969da; } .run1 { stroke: #bc4c00; } .run2 { stroke: #1a7f37; } .run3 { stroke: #8250df; }
  .curve { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
  .point { fill: #ffffff; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    .paper, .point { fill: #0d1117; } text { fill: #e6edf3; }
    .grid { stroke: #30363d; } .axis { stroke: #8b949e; }
    .run0 { stroke: #58a6ff; } .run1 { stroke: #f0883e; } .run2 { stroke: #3fb950; } .run3 { stroke: #bc8cff; }
  }"""


class Run:
    """One run directory: its step and evaluation events by step, and its model's size."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.name = self.directory.name
        self.steps, self.evaluations = {}, {}
        metrics = self.directory / "metrics.jsonl"
        for number, line in enumerate(metrics.read_text(encoding="utf-8").splitlines(), 1):
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                print(f"{metrics}:{number}: skipped, not a whole JSON object", file=sys.stderr)
                continue
            if event.get("loss") is None:  # a failed checkpoint, or a loss that was not finite
                continue
            if event["event"] == "step":
                self.steps[event["step"]] = event
            elif event["event"] == "evaluation":
                self.evaluations[event["step"]] = event
        if not self.steps:
            raise ValueError(f"{metrics}: holds no steps yet")

    def training_curve(self):
        """(step, loss) pairs, averaged over equal bins where there are too many to draw."""
        points = [(step, self.steps[step]["loss"]) for step in sorted(self.steps)]
        size = math.ceil(len(points) / MOST_POINTS)
        bins = [points[i : i + size] for i in range(0, len(points), size)]
        return [tuple(statistics.fmean(axis) for axis in zip(*bin_)) for bin_ in bins]

    def validation_points(self):
        return [(step, self.evaluations[step]["loss"]) for step in sorted(self.evaluations)]

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
    """Collects SVG elements; knows where a (step, loss) pair lies."""

    def __init__(self, points):
        steps, losses = zip(*points)
        self.x_ticks = nice_ticks(0, max(steps), 8)
        self.y_ticks = nice_ticks(min(losses), max(losses))
        self.elements = []

    def x(self, step):
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.x_ticks[-1]

    def y(self, loss):
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)

    def line(self, kind, x1, y1, x2, y2):
        self.elements.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def text(self, x, y, words, anchor="middle", extra=""):
        self.elements.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(words)}</text>')

    def axes(self):
        bottom = HEIGHT - BOTTOM
        for loss in self.y_ticks:
            self.line("grid", LEFT, self.y(loss), WIDTH - RIGHT, self.y(loss))
            self.text(LEFT - 8, self.y(loss) + 4, f"{loss:g}", "end")
        for step in self.x_ticks:
            self.line("axis", self.x(step), bottom, self.x(step), bottom + 5)
            self.text(self.x(step), bottom + 20, f"{step:g}")
        self.line("axis", LEFT, bottom, WIDTH - RIGHT, bottom)
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "step (optimizer updates)")
        middle = (TOP + bottom) / 2
        self.text(18, middle, "loss (nats a token)", extra=f' transform="rotate(-90 18 {middle:.1f})"')

    def run(self, index, run):
        """The run's curve, its validation points and its place in the legend."""
        path = " ".join(f"{self.x(step):.1f},{self.y(loss):.1f}" for step, loss in run.training_curve())
        marks = "".join(
            f'<circle class="point" cx="{self.x(step):.1f}" cy="{self.y(loss):.1f}" r="4"/>'
            for step, loss in run.validation_points()
        )
        left = LEFT + 10 + index * 170
        legend = (
            f'<polyline class="curve" points="{left},24 {left + 26},24"/>'
            f'<text x="{left + 34}" y="28">{escape(run.name)}</text>'
        )
        self.elements.append(
            f'<g class="run{index % 4}"><polyline class="curve" points="{path}"/>{marks}{legend}</g>'
        )

    def svg(self):
        body = "\n".join(self.elements)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img" aria-label="Training loss by step">\n'
            f'<style>{STYLE}\n</style>\n<rect class="paper" width="100%" height="100%"/>\n{body}\n</svg>\n'
        )


def draw(runs):
    chart = Chart([point for run in runs for point in run.training_curve() + run.validation_points()])
    chart.axes()
    for index, run in enumerate(runs):
        chart.run(index, run)
    chart.text(WIDTH - RIGHT, 28, "line: training, circle: validation", "end")
    return chart.svg()


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
    parser.add_argument("--output", metavar="CURVES.svg", help="where the chart is written")
    parser.add_argument("--table", action="store_true", help="print a table of the runs")
    arguments = parser.parse_args()
    try:
        runs = [Run(directory) for directory in arguments.runs]
    except (OSError, ValueError) as error:
        sys.exit(f"plot_metrics.py: {error}")
    if arguments.output:
        pathlib.Path(arguments.output).write_text(draw(runs), encoding="utf-8")
    if arguments.table or not arguments.output:
        print_table(runs)


if __name__ == "__main__":
    main()
