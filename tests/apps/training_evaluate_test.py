"""--evaluate says of a checkpoint what the run itself said, and leaves no trace."""
import re

import harness


class Evaluate(harness.TrainingTest):
    def evaluated(self, run, ranks, *settings, more=()):
        said = self.train(run, ranks, *settings, more=["--evaluate", *more]).stdout
        return re.search(r"(\S+): validation loss (\S+), perplexity (\S+), (\d+) tokens", said).groups()

    def files(self, run):
        return sorted((str(path), path.stat().st_mtime_ns) for path in (self.directory / run).rglob("*"))

    def test_the_loss_is_that_of_the_run(self):
        self.train("run", 2)
        by_step = {entry["step"]: entry for entry in self.events("run", "evaluation")}
        before = self.files("run")
        for ranks in (None, 1, 3):
            folder, loss, perplexity, tokens = self.evaluated("run", ranks)
            self.assertTrue(folder.endswith("step-00000040"), folder)
            self.assertAlmostEqual(float(loss), by_step[40]["loss"], delta=2e-6)
            self.assertAlmostEqual(float(perplexity), by_step[40]["perplexity"], delta=2e-3)
            self.assertEqual(int(tokens), by_step[40]["tokens"])
        step_20 = self.directory / "run/checkpoints/step-00000020"
        self.assertAlmostEqual(float(self.evaluated("run", 2, more=["--resume", str(step_20)])[1]), by_step[20]["loss"],
                               delta=2e-6)
        other = f"data.validation=[{self.directory}/data/train-*.h5]"
        self.assertNotEqual(self.evaluated("run", 2, other)[1], f"{by_step[40]['loss']:.6f}")
        self.assertEqual(self.files("run"), before)

    def test_data_of_another_tokenizer_are_refused(self):
        """For a loss, and for training that starts from imported weights unless it is asked for."""
        brief = ["schedule.total_steps=2", "schedule.warmup_steps=1", "evaluation.every=0"]
        self.train("bytes", None, *brief)
        text, pieces = self.directory / "text.txt", self.directory / "pieces"
        self.call(["spm_train", f"--input={text}", f"--model_prefix={pieces}", "--vocab_size=60", "--minloglevel=2"], expect=0)
        self.call([self.PROGRAMS / "cola_data", "tokenize", "--input", text, "--output", pieces, "--tokenizer", f"{pieces}.model",
                   "--document-bytes", "500"], expect=0)
        other = [*brief, f"data.train=[{pieces}/train-*.h5]", f"data.validation=[{pieces}/validation-*.h5]"]
        for ranks, settings in ((None, other), (2, [*other, "data.allow_change=true"])):
            done = self.train("bytes", ranks, *settings, more=["--evaluate"], expect=2)
            self.assertEqual(done.stderr.count("cola_dist: "), 1, done.stderr)
            self.assertRegex(done.stderr, r"data.validation: \S+/validation-\S+.h5 has tokenizer 'pieces.model xxh3:"
                                          r"[0-9a-f]{16}', but \S+/step-00000002 was trained with 'bytes'")
        ckpt, back = self.PROGRAMS / "cola_ckpt", self.directory / "back"
        self.call([ckpt, "export", self.directory / "bytes", self.directory / "weights.h5"], expect=0)
        self.call([ckpt, "import", self.directory / "weights.h5", back], expect=0)
        more = ["--resume", str(back / "checkpoints/step-00000000")]
        done = self.train("on", None, *other, more=more, expect=2)
        self.assertRegex(done.stderr, r"data.train: \S+/step-00000000 was trained on other data \(tokenizer 'bytes', now "
                                      r"'pieces.model xxh3:[0-9a-f]{16}'\); data.allow_change=true resumes")
        self.assertFalse((self.directory / "on").exists())
        done = self.train("on", None, *other, "data.allow_change=true", more=more)
        self.assertIn("now 'pieces.model", done.stderr)

    def test_what_cannot_be_evaluated(self):
        for settings, more, fragment in (((), [], "holds no committed checkpoint"),
                                         ((), ["--resume", "none"], "--evaluate needs a checkpoint"),
                                         ((), ["--resume", "atuo"], "--resume atuo: neither auto, none, nor"),
                                         (("data.validation=[none.h5]",), [], "data.validation: no token file matches")):
            done = self.train("nothing", 2, *settings, more=["--evaluate", *more], expect=2)
            self.assertEqual(done.stderr.count("cola_dist: "), 1, done.stderr)
            self.assertIn(fragment, done.stderr)
        self.assertFalse((self.directory / "nothing").exists())


if __name__ == "__main__":
    harness.unittest.main()
