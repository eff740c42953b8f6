#!/usr/bin/env python3
"""Draws what full-rank models, CoLA and CoLA-M take in memory as an SVG, from what cola_bench memory wrote.

usage: scripts/plot_memory.py MEMORY.json --output MEMORY.svg [--micro-batch 32]

One panel a model, each with a scale of its own; one bar a method, cut into what the memory is used for. Needs nothing but
Python's standard library.
"""
import argparse
import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP = 780, 150, 158, 64
BAR, GAP, AXIS, PANEL_GAP = 17, 6, 22, 14
GIB = 2**30

USES = {  # as the JSON names them, and as the legend does
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer state",
    "communication": "reduced gradients",
    "activations": "activations",
    "workspace": "workspace",
}

STYLE = """
  .paper { fill: #ffffff; }
  text { fill: #24292f; font: 13px system-ui, sans-serif; }
  .size { font-weight: 600; font-size: 14px; } .small { fill: #57606a; font-size: 12px; }
  .grid { stroke: #d8dee4; } .axis { stroke: #57606a; }
  .weights { fill: #0a3069; } .gradients { fill: #0969da; } .optimizer { fill: #80ccff; }
  .communication { fill: #bf8700; } .activations { fill: #e16f24; } .workspace { fill: #8c959f; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } .small { fill: #8b949e; }
    .grid { stroke: #30363d; } .axis { stroke: #8b949e; }
    .weights { fill: #1158c7; } .gradients { fill: #58a6ff; } .optimizer { fill: #cae8ff; }
    .workspace { fill: #6e7681; }
  }"""


def nice_step(high, wanted=6):
    """1, 2 or 5 times a power of ten, of which at most `wanted` reach `high`."""
    power = 10 ** math.floor(math.log10(high / wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if high / (factor * power) <= wanted)


def amount(size):
    """1.35 GiB, 16.1 GiB, 129 GiB."""
    value = size / GIB
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} GiB"


class Chart:
    """Collects SVG elements from top to bottom."""

    def __init__(self):
        self.elements, self.y = [], TOP

    def text(self, x, y, words, anchor="start", kind=""):
        self.elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'
        )

    def bar(self, x, y, width, kind):
        self.elements.append(f'<rect class="{kind}" x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="{BAR}"/>')

    def line(self, kind, x1, y1, x2, y2):
        self.elements.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def legend(self, title, uses):
        self.text(16, 24, title, kind="size")
        x = 16
        for use in uses:
            self.elements.append(f'<rect class="{use}" x="{x}" y="36" width="12" height="12"/>')
            self.text(x + 18, 47, USES[use])
            x += 42 + 7 * len(USES[use])

    def panel(self, size, rows):
        """One model: a bar for each of its rows over a grid of its own."""
        step = nice_step(max(row["planned_bytes"] for row in rows) / GIB)
        ticks = math.ceil(max(row["planned_bytes"] for row in rows) / GIB / step)
        scale = (WIDTH - LEFT - RIGHT) / (ticks * step * GIB)
        height = len(rows) * (BAR + GAP) + GAP
        bottom = self.y + height
        for tick in range(ticks + 1):
            x = LEFT + tick * step * GIB * scale
            self.line("axis" if tick == 0 else "grid", x, self.y, x, bottom)
            self.text(x, bottom + 15, f"{tick * step:g}", "middle", "small")
        self.text(16, self.y + BAR + 1, size, kind="size")
        for index, row in enumerate(rows):
            self.row(row, self.y + GAP + index * (BAR + GAP), scale)
        self.y = bottom + AXIS + PANEL_GAP

    def row(self, row, y, scale):
        x = LEFT
        for use in USES:
            self.bar(x, y, row["uses"][use] * scale, use)
            x += row["uses"][use] * scale
        self.text(LEFT - 8, y + 13, row["method"], "end")
        measured = row.get("measured_bytes")
        self.text(x + 6, y + 13, f"{amount(measured or row['planned_bytes'])}, {'measured' if measured else 'planned'}")

    def svg(self):
        height = self.y - PANEL_GAP + 22
        self.text(LEFT + (WIDTH - LEFT - RIGHT) / 2, height - 12, "GiB of one rank", "middle", "small")
        body = "\n".join(self.elements)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-label="Memory of a rank by model and method">\n'
            f'<style>{STYLE}\n</style>\n<rect class="paper" width="100%" height="100%"/>\n{body}\n</svg>\n'
        )


def draw(rows, micro_batch):
    chart = Chart()
    used = [use for use in USES if any(row["uses"][use] for row in rows)]
    chart.legend(f"Memory to train with micro-batches of {micro_batch} sequences of 256 tokens", used)
    for size in dict.fromkeys(row["size"] for row in rows):
        chart.panel(size, [row for row in rows if row["size"] == size])
    return chart.svg()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("memory", metavar="MEMORY.json")
    parser.add_argument("--output", metavar="MEMORY.svg", required=True, help="where the chart is written")
    parser.add_argument("--micro-batch", type=int, default=32, help="which of the table's micro-batches is drawn")
    arguments = parser.parse_args()
    try:
        rows = json.loads(pathlib.Path(arguments.memory).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"plot_memory.py: {arguments.memory}: {error}")
    rows = [row for row in rows if row["micro_batch"] == arguments.micro_batch]
    if not rows:
        sys.exit(f"plot_memory.py: {arguments.memory}: no rows with micro-batch {arguments.micro_batch}")
    pathlib.Path(arguments.output).write_text(draw(rows, arguments.micro_batch), encoding="utf-8")


if __name__ == "__main__":
    main()
