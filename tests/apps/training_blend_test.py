"""Several corpora blended by weight: a run that goes on as if it had not stopped, and only with the blend that it had."""
import json
import re
import shutil
import signal

import harness


class Blend(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.directory / "other.txt").write_text(harness.corpus().upper()[:40000])
        cls.call([harness.PROGRAMS / "cola_data", "tokenize", "--input", cls.directory / "other.txt", "--output",
                  cls.directory / "other", "--bytes", "--document-bytes", "500"], expect=0)
        cls.corpora = [f"{cls.directory}/data/train-*.h5", f"{cls.directory}/other/train-*.h5"]
        cls.files = f"data.train=[{', '.join(cls.corpora)}]"
        cls.blend = [cls.files, "data.weights=[3, 1]"]
        cls.report = cls.train("whole", 2, *cls.blend).stdout

    def stopped(self, run):
        self.assertEqual(self.start_and_signal(run, 2, 13, signal.SIGUSR1, *self.blend), 75)

    def refused(self, run, *settings):
        done = self.train(run, 2, *settings, expect=2)
        said = [line for line in done.stderr.splitlines() if "error: " in line]
        self.assertEqual(len(said), 1, done.stderr)
        return said[0]

    def test_the_start_tells_shares_tokens_and_epochs(self):
        self.assertRegex(self.report, r"data: .+ tokens in 2 files, \d+ sequences of 32; 40 steps are a blend of 2 corpora\n")
        for corpus, share in zip(self.corpora, (75, 25)):
            told = re.search(rf"\n  {re.escape(corpus)}: {share} %, (\S+) k tokens, (\S+) epochs\n", self.report)
            self.assertIsNotNone(told, self.report)
            tokens, epochs = 1000 * float(told[1]), float(told[2])
            self.assertAlmostEqual(epochs, share / 100 * 40 * 12 * 32 / tokens, delta=0.01 * epochs)
        manifest = json.loads((self.directory / "whole/checkpoints/step-00000040/manifest.json").read_text())
        self.assertEqual(manifest["data"]["corpora"], [{"files": 1, "parts": 3 << 29}, {"files": 1, "parts": 1 << 29}])

    def test_stopped_and_resumed_is_identical(self):
        self.stopped("stopped")
        self.train("stopped", 2, *self.blend)
        self.assert_identical("whole", "stopped")
        self.assertEqual(self.losses("whole"), self.losses("stopped"))
        self.assertEqual(self.events("whole", "evaluation"), self.events("stopped", "evaluation"))

    def test_other_numbers_of_ranks_read_the_same_samples(self):
        reference = self.losses("whole")
        for ranks in (1, 3):
            self.stopped(f"to{ranks}")
            self.train(f"to{ranks}", ranks, *self.blend)
            for step, (a, b) in enumerate(zip(self.losses(f"to{ranks}"), reference, strict=True), start=1):
                self.assertLess(abs(a - b) / b, 1e-4, f"{ranks} ranks, step {step}")
        self.train("as_one", 2, self.files)
        self.assertGreater(max(abs(a - b) / b for a, b in zip(self.losses("as_one"), reference)), 1e-2)

    def test_another_blend_is_refused_unless_it_is_allowed(self):
        self.stopped("changed")
        shutil.copytree(self.directory / "changed", self.directory / "scaled")
        other = [self.files, "data.weights=[1, 1]"]
        self.assertIn("was trained on other data (data.weights that give entry 1 of data.train 75 %, now 50 %); "
                      "data.allow_change=true resumes", self.refused("changed", *other))
        self.assertIn("was trained on other data (2 corpora by data.weights, now one corpus)", self.refused("changed", self.files))
        done = self.train("changed", 2, *other, "data.allow_change=true", "schedule.total_steps=30")
        self.assertIn("resumes with the new ones, in their own order", done.stderr)
        self.assertRegex(done.stdout, r"changed since that checkpoint: .*data.weights \[3, 1\] -> \[1, 1\]")
        self.train("changed", 2, *other)  # checkpoints since then know the new blend
        self.assertEqual(len(self.losses("changed")), 40)
        # The same shares are the same blend.
        self.train("scaled", 2, self.files, "data.weights=[0.75, 0.25]")
        self.assert_identical("whole", "scaled")

    def test_a_single_corpus_needs_no_weight_and_takes_any(self):
        self.train("plain", 2, "schedule.total_steps=20")
        self.assertNotIn("corpora", (self.directory / "plain/checkpoints/step-00000020/manifest.json").read_text())
        self.train("plain", 2, "data.weights=[5]")
        self.train("weighted", 2, "data.weights=[1]", "schedule.total_steps=20")
        self.train("weighted", 2)
        self.assert_identical("plain", "weighted")

    def test_what_cannot_be_blended_is_refused(self):
        for run, fragment, *settings in (
                ("few", "--set data.weights=[1]: must have a number for every entry of data.train (2), got 1", self.files,
                 "data.weights=[1]"),
                ("none", "--set data.weights=[1, 0]: must be greater than 0, got 0", self.files, "data.weights=[1, 0]"),
                ("twice", f"{self.directory}/data/train-00000.h5 is matched by '{self.corpora[0]}' and by "
                 f"'{self.directory}/*/train-*.h5'; with data.weights",
                 f"data.train=[{self.corpora[0]}, {self.directory}/*/train-*.h5]", "data.weights=[1, 1]")):
            self.assertIn(fragment, self.refused(run, *settings))
            self.assertFalse((self.directory / run).exists(), "something was written")


if __name__ == "__main__":
    harness.unittest.main()
