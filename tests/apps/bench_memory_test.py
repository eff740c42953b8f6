"""cola_bench memory: rows that are measured agree with their plans, others say why they were not; the chart is an SVG."""
import json
import sys
import xml.etree.ElementTree

import harness

REPOSITORY = harness.pathlib.Path(__file__).resolve().parents[2]


class MemoryTable(harness.TrainingTest):
    def bench(self, *words, sizes="small", expect=0):
        self.configuration("small")
        command = [harness.PROGRAMS / "cola_bench", "memory", "--configs", self.directory, "--sizes", sizes, *words]
        return self.call(command, expect=expect)

    def test_measured_peaks_are_the_planned_ones(self):
        path = self.directory / "memory.json"
        self.bench("--batches", "4", "--steps", "1", "--json", path)
        rows = json.loads(path.read_text())
        self.assertEqual([row["method"] for row in rows], ["full-rank", "full-rank + block", "CoLA", "CoLA-M"])
        for row in rows:
            self.assertEqual(sum(row["uses"].values()), row["planned_bytes"])
            self.assertAlmostEqual(row["measured_bytes"] / row["planned_bytes"], 1, delta=0.02, msg=row["method"])
            self.assertGreater(row["tokens_per_second"], 0)

    def test_help_lists_options_alone(self):
        for words in ([], ["memory"]):
            said = self.call([harness.PROGRAMS / "cola_bench", *words, "--help"], expect=0).stdout
            self.assertIn("Exit codes: ", said)
            self.assertNotIn("--command", said)

    def test_rows_that_are_not_measured_say_why(self):
        self.assertEqual(self.bench("--batches", "2,4", "--seconds", "0").stdout.count("too slow"), 8)
        limited = self.bench("--batches", "2", "--set", "train.device_memory_gib=0.000001")
        self.assertEqual(limited.stdout.count("does not fit"), 4)

    def test_the_chart_has_a_bar_for_every_row(self):
        path, chart = self.directory / "memory.json", self.directory / "memory.svg"
        self.bench("--batches", "2", "--seconds", "0", "--json", path)
        draw = [sys.executable, REPOSITORY / "scripts/plot_memory.py", path, "--output", chart, "--micro-batch"]
        self.call([*draw, "2"], expect=0)
        words = "".join(xml.etree.ElementTree.parse(chart).getroot().itertext())
        self.assertEqual(words.count("planned"), 4)
        self.assertIn("CoLA-M", words)
        self.assertIn("no rows with micro-batch 3", self.call([*draw, "3"], expect=1).stderr)

    def test_bad_command_lines(self):
        for words, fragment in ((["--steps", "0"], "--steps"), (["--batches", "five"], "train.micro_batch"),
                                (["--batches", "5"], "train.global_batch")):
            self.assertIn(fragment, self.bench(*words, expect=2).stderr)
        self.assertIn("none.yaml", self.bench(sizes="none", expect=2).stderr)


if __name__ == "__main__":
    harness.unittest.main()
