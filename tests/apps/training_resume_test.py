"""A run that is stopped or killed goes on as if nothing had happened."""
import json
import signal

import harness


class Resume(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("whole", 2)

    def assert_ended_as_the_whole_run(self, run):
        self.assert_identical("whole", run)
        self.assertEqual(self.losses("whole"), self.losses(run))
        self.assertEqual([entry["step"] for entry in self.events(run)], list(range(1, 41)))
        self.assertEqual(self.events("whole", "evaluation"), self.events(run, "evaluation"))

    def test_killed_and_resumed_is_identical(self):
        self.start_and_signal("killed", 2, 23, signal.SIGKILL)
        self.assertIn("step-00000010", self.checkpoints("killed"))  # step 20's may still have been under way
        self.assertNotIn("step-00000040", self.checkpoints("killed"))
        done = self.train("killed", 2)
        self.assertRegex(done.stdout, r"resumes from \S+step-000000[123]0")
        self.assert_ended_as_the_whole_run("killed")

    def test_signals_save_and_ask_to_be_run_again(self):
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            run = number.name.lower()
            self.assertEqual(self.start_and_signal(run, 2, 13, number), 75)
            saved = self.checkpoints(run)[-1]
            self.assertNotEqual(saved, "step-00000010")
            self.train(run, 2)
            self.assert_ended_as_the_whole_run(run)

    def test_sigterm_without_a_launcher(self):
        self.train("alone", None)
        self.assertEqual(self.start_and_signal("term", None, 13, signal.SIGTERM), 75)
        self.train("term", None)
        self.assert_identical("alone", "term")

    def test_other_numbers_of_ranks_continue_from_the_same_state(self):
        reference = self.losses("whole")
        for ranks in (1, 3, 4):
            run = f"to{ranks}"
            self.assertEqual(self.start_and_signal(run, 2, 13, signal.SIGUSR1), 75)
            self.train(run, ranks)
            for step, (a, b) in enumerate(zip(self.losses(run), reference), start=1):
                self.assertLess(abs(a - b) / b, 1e-4, f"{ranks} ranks, step {step}")

    def test_a_finished_run_has_nothing_to_do(self):
        before = self.checkpoints("whole")
        done = self.train("whole", 2)
        self.assertIn("finished step 40", done.stdout)
        self.assertEqual(self.checkpoints("whole"), before)
        self.assertEqual(len(self.losses("whole")), 40)

    def test_a_damaged_checkpoint_is_passed_over_by_name(self):
        self.train("damaged", 2, "schedule.total_steps=20")
        shard = self.directory / "damaged/checkpoints/step-00000020/shard-00001.h5"
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 0x10
        shard.write_bytes(content)
        done = self.train("damaged", 2, "schedule.total_steps=20")
        self.assertIn("step-00000020/shard-00001.h5", done.stderr)
        self.assertIn("step-00000010", done.stdout)
        self.train("undamaged", 2, "schedule.total_steps=20")
        self.assert_identical("damaged", "undamaged")

    def test_resume_none_never_mixes_with_what_is_there(self):
        done = self.train("whole", 2, expect=2, more=["--resume", "none"])
        self.assertIn("already holds checkpoints", done.stderr)
        self.assertEqual(self.checkpoints("whole")[-1], "step-00000040")

    def test_resume_from_a_folder_of_another_run(self):
        self.train("branch", 2, more=["--resume", str(self.directory / "whole/checkpoints/step-00000030")])
        self.assert_identical("whole", "branch")
        self.assertEqual([entry["step"] for entry in self.events("branch")], list(range(31, 41)))

    def test_the_last_step_of_another_run_is_saved_as_this_ones(self):
        last = self.directory / "whole/checkpoints/step-00000040"
        for run, folder in (("copied", last), ("copied", self.directory / "copied/checkpoints/step-00000040/")):
            done = self.train(run, 2, more=["--resume", f"{folder}/"])
            self.assertIn("finished step 40", done.stdout)
            self.assertEqual(self.checkpoints(run), ["step-00000040"])
        self.assert_identical("whole", "copied")

    def test_positions_may_reach_further(self):
        """No bit of the result depends on it; later checkpoints and exports say the new reach."""
        self.assertEqual(self.start_and_signal("longer", 2, 13, signal.SIGUSR1), 75)
        done = self.train("longer", 2, "model.max_position_embeddings=48", expect=2)
        self.assertIn("other settings: model.max_position_embeddings 64 -> 48;", done.stderr)
        done = self.train("longer", 2, "model.max_position_embeddings=2048")
        self.assertIn("model.max_position_embeddings 64 -> 2048", done.stdout)
        self.assert_ended_as_the_whole_run("longer")
        folder = self.directory / "longer-out"
        self.call([self.PROGRAMS / "cola_ckpt", "export", "--format", "safetensors", self.directory / "longer", folder], expect=0)
        self.assertEqual(json.loads((folder / "config.json").read_text())["max_position_embeddings"], 2048)

    def test_manifest_says_where_the_data_stands(self):
        manifest = json.loads((self.directory / "whole/checkpoints/step-00000030/manifest.json").read_text())
        self.assertEqual(manifest["step"], 30)
        self.assertEqual(manifest["next_sample"], 360)
        self.assertEqual(manifest["tokens"], 360 * 32)


if __name__ == "__main__":
    harness.unittest.main()
