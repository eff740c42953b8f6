"""Bad input ends with one clear line and exit code 2 before anything is written, a fault of one node with 1; trouble on the
way ends the whole job."""
import os
import re
import subprocess
import time
import unittest.mock

import harness


class Errors(harness.TrainingTest):
    def assert_refused(self, run, fragment, *settings, ranks=2, more=()):
        done = self.train(run, ranks, *settings, expect=2, more=more)
        said = [line for line in done.stderr.splitlines() if line.startswith("cola_dist: ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertIn(fragment, said[0])
        self.assertNotIn("terminate called", done.stderr)
        self.assertFalse((self.directory / run).exists(), "something was written")

    def test_bad_settings(self):
        self.assert_refused("key", "train.micro_batch", "train.mikro_batch=4")
        self.assert_refused("type", "schedule.total_steps", "schedule.total_steps=many")
        self.assert_refused("rank", "model.rank", "model.rank=33")
        self.assert_refused("heads", "num_attention_heads", "model.num_attention_heads=5")
        self.assert_refused("batch", "train.global_batch", "train.global_batch=13")
        self.assert_refused("cola_m", "train.recompute", "train.recompute=cola_m", "model.projection=full")

    def test_bad_files(self):
        self.assert_refused("missing", "nowhere/train-*.h5", "data.train=[nowhere/train-*.h5]")
        empty = self.directory / "empty.h5"
        empty.write_bytes(b"")
        self.assert_refused("empty", "empty.h5", f"data.train=[{empty}]")
        self.assert_refused("vocabulary", "vocab", "model.vocab_size=100")
        self.assert_refused("one", "data.validation: no token file matches 'none.h5'", "data.validation=[none.h5]")
        folder = self.directory / "data"
        self.assert_refused("folder", f"data.train: '{folder}' is a folder; name its files", f"data.train=[{folder}/]")
        done = self.call([harness.PROGRAMS / "cola_dist", "--config", self.directory / "none.yaml"], expect=2)
        self.assertIn("none.yaml", done.stderr)

    def test_bad_command_lines(self):
        self.assert_refused("option", "--help", more=["--resum", "auto"])
        self.assert_refused("resume", "elsewhere", more=["--resume", "elsewhere"], ranks=1)
        self.assertEqual(self.call([harness.PROGRAMS / "cola_dist"]).returncode, 2)
        self.assert_refused("zero", "--ranks N goes with --plan", more=["--plan", "--ranks", "0"], ranks=None)
        self.assert_refused("planless", "--ranks N goes with --plan", more=["--ranks", "0"], ranks=None)
        self.assert_refused("both", "--plan and --print-config ask for different things",
                            more=["--plan", "--print-config"], ranks=None)
        self.assert_refused("stray", "'tiny.yaml' belongs to no option; did you mean --config tiny.yaml?",
                            more=["tiny.yaml"], ranks=None)

    def test_a_staging_folder_that_cannot_be_made(self):
        self.assert_refused("staged", "checkpoint.local_dir: /dev/null/x", "checkpoint.local_dir=/dev/null/x")

    def test_output_that_cannot_be_written(self):
        self.configuration("full")
        for words in (["--print-config", "--config", self.directory / "full.yaml"], ["-h"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([harness.PROGRAMS / "cola_dist", *words], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, done.stderr),
                             (1, "cola_dist: error: standard output cannot be written: No space left on device\n"))

    def test_ranks_that_would_run_different_things(self):
        self.configuration("differing")
        words = [harness.PROGRAMS / "cola_dist", "--config", self.directory / "differing.yaml", "--set"]
        done = self.call(self.job_of([*words, "optimizer.lr=0.25"], *[[*words, "optimizer.lr=0.5"]] * 2), expect=2)
        said = [line for line in done.stderr.splitlines() if line.startswith("cola_dist: ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertRegex(said[0], r"optimizer.lr: 0.25 on rank 0 \(\S+\), but 0.5 on rank 1 ")
        self.assertFalse((self.directory / "differing").exists(), "something was written")

    def test_what_one_rank_alone_cannot_read_is_a_fault_of_its_node(self):
        words = self.command("alone", None)
        elsewhere = [str(self.directory / "none.yaml") if word.endswith("/alone.yaml") else word for word in words]
        done = self.call(self.job_of(words, elsewhere, words), expect=1)
        said = [line for line in done.stderr.splitlines() if line.startswith("cola_dist: ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertRegex(said[0], r"rank 1 on [^ :]+: error: \S+/none.yaml: ")
        self.assertFalse((self.directory / "alone").exists(), "something was written")
        self.call(self.job_of(elsewhere, elsewhere), expect=2)

    def test_what_is_not_here(self):
        if harness.gpu_count() == 0:
            self.assert_refused("gpu", "train.device: ", "train.device=cuda", "train.precision=auto")
        done = self.call([harness.PROGRAMS / "cola_dist", "--print-config"], expect=2)
        self.assertIn("--config FILE is missing", done.stderr)

    def test_a_job_with_gpus_is_told_once_that_the_program_has_no_cuda(self):
        said = self.train("cuda", None, "train.device=cuda", "train.precision=auto", expect=None)
        if "built without a CUDA backend" not in said.stderr:
            self.skipTest("this program has CUDA")
        settings = ("train.device=auto", "schedule.total_steps=1", "schedule.warmup_steps=0", "evaluation.tokens=128")
        told = "warning: this run is on the CPU, as this program was built without CUDA"
        for gpus, times in (("0,1", 1), ("", 0)):
            with unittest.mock.patch.dict(os.environ, SLURM_JOB_NUM_NODES="1", CUDA_VISIBLE_DEVICES=gpus):
                done = self.train(f"unused{times}", 2, *settings)
            self.assertEqual(done.stderr.count(told), times, done.stderr)

    def test_a_run_directory_that_cannot_be_written(self):
        for name in ("config.yaml", "metrics.jsonl"):
            run = f"obstructed-{name}"
            (self.directory / run / name).mkdir(parents=True)
            done = self.train(run, 2, expect=2)
            said = [line for line in done.stderr.splitlines() if line.startswith("cola_dist: ")]
            self.assertEqual(len(said), 1, done.stderr)
            self.assertIn(f"{run}/{name}", said[0])

    def test_more_ranks_than_sequences(self):
        self.assert_refused("ranks", "train.global_batch", "train.global_batch=2", "train.micro_batch=1", ranks=3)

    def test_a_loss_that_is_not_finite_stops_the_job_and_leaves_the_last_checkpoint(self):
        done = self.train("infinite", 4, "optimizer.lr=1.0e30", "optimizer.grad_clip=0", "checkpoint.every=1",
                          "schedule.warmup_steps=0", expect=None)
        self.assertNotIn(done.returncode, (0, 2, 75))
        self.assertRegex(done.stderr, r"rank 0 on \S+: error: step \d+: the (loss|gradient) is not finite")
        self.assertEqual(done.stderr.count("not finite"), 1, done.stderr)
        status = self.call([harness.PROGRAMS / "cola_dist", "--status", self.directory / "infinite"], expect=0)
        self.assertRegex(status.stdout, r"failed: step \d+: the (loss|gradient) is not finite")
        newest = self.checkpoints("infinite")[-1]
        self.call([harness.PROGRAMS / "cola_ckpt", "verify", self.directory / "infinite/checkpoints" / newest], expect=0)

    def test_status_tells_the_error_that_any_rank_met(self):
        words = self.command("unread", None)
        done = self.call([self.MPIRUN, "--oversubscribe", "-n", "1", *words, ":",
                          "-n", "1", "env", f"LD_PRELOAD={harness.FAILING_CALLS}", "COLA_FAILING_CALLS=open:train-00000.h5:1:0",
                          f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0", *words])
        self.assertNotIn(done.returncode, (0, 2, 75), done.stderr)
        self.assertRegex(done.stderr, r"rank 1 on \S+: error: \S+/train-00000.h5: ")
        status = self.call([harness.PROGRAMS / "cola_dist", "--status", self.directory / "unread"], expect=0)
        self.assertRegex(status.stdout, r"state +failed: rank 1 on \S+: \S+/train-00000.h5: ")

    def test_settings_that_are_hardly_meant_are_warned_of(self):
        train = f"[{self.directory}/data/train-*.h5]"
        done = self.train("warned", 2, f"data.validation={train}", "schedule.total_steps=6",
                          "schedule.warmup_steps=1", "run.time_limit=30", expect=75)
        self.assertEqual(done.stderr.count(" is both in data.train and in data.validation"), 1, done.stderr)
        short = r"warning: the job ends in \d+ s, of which 3\d s are kept to save in \(run\.stop_margin, "
        self.assertEqual(len(re.findall(short, done.stderr)), 1, done.stderr)

    def test_two_jobs_never_share_a_run_directory(self):
        first = subprocess.Popen(self.command("shared", None, "schedule.total_steps=100000", "evaluation.every=0"),
                                 stdout=subprocess.DEVNULL)
        try:
            while not (self.directory / "shared/metrics.jsonl").exists():
                self.assertIsNone(first.poll())
                time.sleep(0.01)
            done = self.train("shared", None, expect=2)
            self.assertRegex(done.stderr, r"another job is working in it \(process \d+ on \S+\)")
            # A job that the scheduler started again waits for the one before, whose lock may outlast it.
            again = subprocess.Popen(self.command("shared", None, "schedule.total_steps=100000", "evaluation.every=0"),
                                     stdout=subprocess.PIPE, text=True, env=dict(os.environ, SLURM_RESTART_COUNT="1"))
            said = again.stdout.readline()
            while "waiting" not in said and said:
                said = again.stdout.readline()
            self.assertIn("shared/lock is locked", said)
            time.sleep(1.5)
            self.assertIsNone(again.poll())
        finally:
            first.terminate()
        self.assertEqual(first.wait(timeout=60), 75)
        while "resumes from" not in said and said:
            said = again.stdout.readline()
            self.assertNotIn("waiting", said)
        again.terminate()
        again.communicate(timeout=60)
        self.assertEqual(again.returncode, 75)

    def test_help_version_plan_and_configuration(self):
        self.assertIn("--config", self.call([harness.PROGRAMS / "cola_dist", "--help"], expect=0).stdout)
        self.assertRegex(self.call([harness.PROGRAMS / "cola_dist", "--version"], expect=0).stdout, r"cola_dist \d")
        plan = self.train("plan", None, "train.global_batch=64", more=["--plan", "--ranks", "64"])
        self.assertIn("64 ranks", plan.stdout)
        printed = self.train("printed", None, "schedule.total_steps=77", more=["--print-config"]).stdout
        again = self.directory / "again.yaml"
        again.write_text(printed)
        self.assertEqual(self.call([harness.PROGRAMS / "cola_dist", "--config", again, "--print-config"], expect=0).stdout,
                         printed)
        self.assertIn("77", printed)


if __name__ == "__main__":
    harness.unittest.main()
