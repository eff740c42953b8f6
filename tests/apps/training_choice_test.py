"""Which checkpoint a run starts from, and what it refuses to go on with."""
import shutil

import harness


class Choice(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("origin", 2)

    def step(self, run, step):
        return str(self.directory / run / f"checkpoints/step-{step:08d}")

    def copy(self, run):
        shutil.copytree(self.directory / "origin", self.directory / run)

    def folders(self, run):
        return sorted(path.name for path in (self.directory / run / "checkpoints").iterdir())

    def refused(self, run, *settings, more=()):
        """The one line that is said; the run's configuration stays as it was."""
        kept = self.directory / run / "config.yaml"
        before = kept.read_text()
        done = self.train(run, 2, *settings, expect=2, more=more)
        said = [line for line in done.stderr.splitlines() if "error: " in line]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertEqual(kept.read_text(), before)
        return said[0]

    def test_the_same_command_goes_on_from_what_has_come_of_it(self):
        chosen = ["--resume", self.step("origin", 20)]
        self.train("branch", 2, "schedule.total_steps=30", more=chosen)
        done = self.train("branch", 2, more=chosen)
        self.assertIn("resumes from what has come of --resume", done.stdout)
        self.assertIn(f"resumes from {self.step('branch', 30)}, step 30 of 40", done.stdout)
        self.assertEqual([entry["step"] for entry in self.events("branch")], list(range(21, 41)))
        self.assertEqual(self.folders("branch"), ["step-00000030", "step-00000040"])
        # The checkpoint itself may be gone by then; another choice counts as a new one.
        self.copy("gone")
        chosen = ["--resume", self.step("gone", 10)]
        self.train("gone", 2, "checkpoint.keep=1", more=chosen)
        self.assertNotIn("step-00000010", self.folders("gone"))
        self.assertIn("nothing is left to do", self.train("gone", 2, more=chosen).stdout)
        done = self.train("gone", 2, more=["--resume", self.step("origin", 20)])
        self.assertIn(f"resumes from {self.step('origin', 20)}", done.stdout)
        self.assertIn("abandoned-step-00000040-2", self.folders("gone"))

    def test_a_choice_without_progress_begins_there_again(self):
        chosen = ["--resume", self.step("origin", 40)]
        self.train("again", 2, "data.validation=[nowhere.h5]", expect=2, more=chosen)
        self.train("again", 2, more=chosen)
        (self.directory / "again/resumed_from").unlink()
        done = self.train("again", 2, more=chosen)
        self.assertIn(f"resumes from {self.step('origin', 40)}", done.stdout)
        self.assertEqual(self.folders("again"), ["abandoned-step-00000040", "step-00000040"])

    def test_the_same_step_of_another_run_takes_the_place_of_this_ones(self):
        self.train("own", 2, "schedule.total_steps=20", "optimizer.lr=1.0e-3")
        done = self.train("own", 2, "schedule.total_steps=20", more=["--resume", self.step("origin", 20)])
        self.assertIn("abandoned-step-00000020", done.stdout)
        self.assert_identical("origin/checkpoints/step-00000020", "own/checkpoints/step-00000020")

    def test_other_settings_are_named_with_both_values(self):
        said = self.refused("origin", "model.rank=8", "run.seed=8", "optimizer.lr=1.0")
        self.assertIn(f"{self.step('origin', 40)}: was trained with other settings: run.seed 7 -> 8, model.rank 12 -> 8; "
                      "set them back, or set another run.dir", said)
        said = self.refused("origin", "data.sequence_length=16")
        self.assertIn("data.sequence_length 32 -> 16", said)
        self.assertNotIn("run.seed", said)

    def test_other_data_need_a_word(self):
        self.copy("other")
        other = [f"data.train=[{self.directory}/data/validation-*.h5]", "schedule.total_steps=50"]
        self.assertRegex(self.refused("other", *other), r"data.train: \S+step-00000040 was trained on other data \(\d+ tokens "
                                                        r"in \d+ files?, now \d+ in \d+\); data.allow_change=true resumes")
        done = self.train("other", 2, *other, "data.allow_change=true")
        self.assertIn("resumes with the new ones", done.stderr)
        done = self.train("other", 2, *other)  # its newest checkpoint knows them
        self.assertIn("nothing is left to do", done.stdout)
        self.assertNotIn("other data", done.stderr)

    def test_a_run_past_its_last_step_has_nothing_to_do(self):
        said = self.refused("origin", "schedule.total_steps=35")
        self.assertIn(f"nothing to do: step 40 of {self.step('origin', 40)} is past schedule.total_steps (35)", said)
        self.assertEqual(len(self.checkpoints("origin")), 4)
        kept = self.directory / "origin/config.yaml"
        before = kept.read_text()
        self.assertIn("nothing is left to do: the run is finished, step 40 is its last",
                      self.train("origin", 2, "evaluation.tokens=1024").stdout)
        self.assertEqual(kept.read_text(), before)

    def test_what_has_changed_is_told_in_one_line(self):
        self.copy("changed")
        done = self.train("changed", 1, "schedule.total_steps=45", "optimizer.lr=1.0e-3")
        self.assertIn("changed since that checkpoint: optimizer.lr 0.003 -> 0.001, schedule.total_steps 40 -> 45, "
                      "2 ranks -> 1\n", done.stdout)
        self.assertRegex(done.stdout, r"the learning rate goes on at 1\.\d\de-04 in step 41\n")

    def test_where_all_are_damaged_the_last_word_says_what_can_be_done(self):
        self.copy("ruined")
        for step in (10, 20, 30, 40):
            (self.directory / f"ruined/checkpoints/step-{step:08d}/shard-00000.h5").write_bytes(b"")
        done = self.train("ruined", 2, expect=2)
        self.assertEqual(done.stderr.count("falling back to the checkpoint before it"), 3, done.stderr)
        self.assertIn("none of its checkpoints is intact, and all are left as they are; bring one back, or set another run.dir",
                      done.stderr)

    def test_a_fresh_start_beside_checkpoints_is_refused_and_told_what_to_do(self):
        said = self.refused("origin", more=["--resume", "none"])
        self.assertIn(f"--resume none: {self.directory}/origin/checkpoints already holds checkpoints; leave --resume out to "
                      "resume from the newest, or set another run.dir or remove that folder to start at step 0", said)

    def test_a_fresh_start_without_checkpoints_may_be_repeated(self):
        self.train("fresh", 2, "checkpoint.every=0", "schedule.total_steps=4", "schedule.warmup_steps=1", more=["--resume", "none"])
        shutil.rmtree(self.directory / "fresh/checkpoints")
        done = self.train("fresh", 2, "schedule.total_steps=4", "schedule.warmup_steps=1", more=["--resume", "none"])
        self.assertIn("starts at step 0 of 4", done.stdout)

    def test_a_mistyped_choice_makes_no_folder(self):
        done = self.train("typed", 2, expect=2, more=["--resume", self.step("origin", 41)])
        self.assertIn("step-00000041: no such folder", done.stderr)
        self.assertFalse((self.directory / "typed").exists())


if __name__ == "__main__":
    harness.unittest.main()
