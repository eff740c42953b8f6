"""The chart of training curves, from made-up metrics: scripts/plot_metrics.py needs no program."""
import csv
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/plot_metrics.py"


class Plot(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_with(self, name, steps, **told_at_start):
        events = [{"event": "start", "step": 0, **told_at_start}]
        events += [{"event": "step", "step": step, "loss": 4 - step / 10, "tokens": 512 * step, "step_seconds": 0.5,
                    "step_target_tokens": 500, "tokens_per_second": 1024} for step in range(1, steps + 1)]
        events += [{"event": "evaluation", "step": steps, "loss": 3.5, "perplexity": 33.1}] if steps else []
        (self.folder / name).mkdir()
        (self.folder / name / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        return self.folder / name

    def plot(self, *words, expect=0):
        done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True)
        self.assertEqual(done.returncode, expect, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done

    def test_every_run_looks_different(self):
        runs = [self.run_with(f"run{number}", 5) for number in range(9)]
        self.plot(*runs, "--output", self.folder / "curves.svg")
        drawn = (self.folder / "curves.svg").read_text()
        xml.etree.ElementTree.fromstring(drawn)
        looks = re.findall(r'<g (class="run\d" stroke-dasharray="[^"]+")>', drawn)
        self.assertEqual(len(set(looks)), 9, looks)
        places = re.findall(r'<text x="(\d+)" y="(\d+)">run\d<', drawn)
        self.assertEqual(len(set(places)), 9, places)

    def test_a_run_without_steps_does_not_stop_the_others(self):
        done = self.plot(self.run_with("new", 0), self.run_with("old", 3))
        self.assertIn("new: holds no steps yet, passed over", done.stderr)
        self.assertIn("old", done.stdout)
        self.assertIn("no run has steps", self.plot(self.folder / "new", expect=1).stderr)

    def test_what_cannot_be_written_or_read_is_one_line(self):
        run = self.run_with("run", 3)
        self.assertRegex(self.plot(run, "--output", "/nowhere/c.svg", expect=1).stderr, r"^plot_metrics.py: .*\n$")
        self.assertRegex(self.plot(self.folder / "gone", expect=1).stderr, r"^plot_metrics.py: .*gone.*\n$")
        self.assertIn("only SVG is written", self.plot(run, "--output", "c.png", expect=2).stderr)
        self.assertIn("--x flops needs", self.plot(run, "--x", "flops", "--csv", self.folder / "c.csv", expect=1).stderr)

    def test_the_axis_is_chosen(self):
        run = self.run_with("run", 4)
        (run / "checkpoints/step-00000004").mkdir(parents=True)
        (run / "checkpoints/step-00000004/manifest.json").write_text('{"parameters": [{"shape": [10, 10]}]}')
        for axis, last in (("step", 4), ("tokens", 2048), ("targets", 2000), ("flops", 6 * 100 * 2048), ("seconds", 2.0)):
            done, rows = self.points(run, axis)
            self.assertEqual([row["kind"] for row in rows], ["training"] * 4 + ["validation"])
            self.assertEqual([float(row[axis]) for row in rows[-2:]], [last, last])
            self.assertEqual("6 x parameters is taken" in done.stderr, axis == "flops", done.stderr)

    def points(self, run, axis):
        done = self.plot(run, "--x", axis, "--csv", self.folder / "points.csv", "--output", self.folder / "c.svg")
        with open(self.folder / "points.csv", newline="") as file:
            return done, list(csv.DictReader(file))

    def test_operations_are_those_that_the_run_has_counted(self):
        done, rows = self.points(self.run_with("counted", 4, operations_per_token=750.5), "flops")
        self.assertEqual((float(rows[-1]["flops"]), done.stderr), (750.5 * 2048, ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
