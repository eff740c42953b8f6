"""What --plan says is what a run takes, and a run that cannot fit ends before it begins."""
import json
import os
import pathlib
import re
import subprocess

import harness

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Plans(harness.TrainingTest):
    def planned(self, run, ranks, *settings):
        """The plan's rows: name without its indentation to bytes or text."""
        done = self.train(run, None, *settings, more=["--plan", "--ranks", str(ranks)])
        self.assertFalse((self.directory / run).exists(), "a plan wrote something")
        return dict(re.findall(r"^  (\S.*?)  +(\S.*)$", done.stdout, re.MULTILINE)), done.stdout

    def test_the_planned_peak_is_the_measured_one(self):
        for policy in ("none", "cola_m", "block"):
            for stage in (0, 1, 2, 3):
                settings = [f"train.recompute={policy}", f"parallel.zero_stage={stage}", "schedule.total_steps=2",
                            "schedule.warmup_steps=1", "model.hidden_size=128", "model.rank=32"]
                run = f"{policy}{stage}"
                rows, planned = self.planned(run, 2, *settings)
                number, unit = rows["peak"].split()
                report = re.sub(r"  fits .*\n", "", self.train(run, 2, *settings).stdout)  # what this machine has
                table = planned[planned.index("Device memory a rank\n"):planned.index("train.recompute")]
                self.assertIn("  peak ", table)
                self.assertIn("  snapshots for checkpoints ", table)
                self.assertIn(table, report)
                lines = (self.directory / run / "metrics.jsonl").read_text().splitlines()
                measured = [json.loads(line)["peak_bytes"] for line in lines if '"event":"step"' in line]
                for peak in measured:
                    self.assertAlmostEqual(peak / (float(number) * UNITS[unit]), 1, delta=0.02, msg=run)

    def test_a_plan_needs_neither_gpu_nor_ranks(self):
        rows, text = self.planned("gpus", 64, "train.global_batch=64", "train.device=cuda", "train.precision=auto",
                                  "train.device_memory_gib=80")
        self.assertEqual((rows["device"], rows["compute precision"]), ("cuda", "bf16"))
        self.assertIn("64 ranks", text)
        self.assertRegex(text, r"cola_m +\S+ MiB +1\n")  # a rank's share of 64 sequences

    def test_a_plan_has_no_blanks_at_the_ends_of_lines(self):
        for settings in ([], ["train.device_memory_gib=1"]):
            self.assertNotRegex(self.planned("blanks", 4, *settings)[1], r" \n")

    def test_a_plan_tells_the_disk_that_checkpoints_take(self):
        settings = ["checkpoint.every=10", "checkpoint.keep=1", "checkpoint.keep_every=20", "schedule.total_steps=80"]
        rows, _ = self.planned("disk", 2, *settings)
        # 70, 80, and of those before 20, 40 and 60
        one, all_of_them = (float(number) * UNITS[unit] for number, unit in (
            rows[name].split() for name in ("one checkpoint, all ranks", "checkpoints on disk, at most 5")))
        self.assertAlmostEqual(all_of_them / one, 5, delta=0.05)

    def test_a_plan_that_does_not_fit_says_so_by_its_exit_code(self):
        done = self.train("tight", None, "train.device_memory_gib=0.0001", more=["--plan"], expect=2)
        self.assertIn("DOES NOT FIT train.device_memory_gib", done.stdout)
        self.assertEqual(done.stderr, "")

    def assert_refused(self, run, settings, *fragments):
        done = self.train(run, 2, *settings, expect=2)
        said = [line for line in done.stderr.splitlines() if line.startswith("cola_dist: ")]
        self.assertEqual(len(said), 1, done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, said[0])
        self.assertFalse((self.directory / run).exists(), "something was written")

    def test_a_ring_too_small_for_snapshots_is_refused_by_plan_and_run(self):
        setting = "checkpoint.ring_gib=0.000001"
        self.assert_refused("ring", [setting], "checkpoint.ring_gib: 1e-06 GiB is too small a ring")
        done = self.train("ring", None, setting, expect=2, more=["--plan", "--ranks", "2"])
        self.assertRegex(done.stderr, r"^cola_dist: error: checkpoint.ring_gib: 1e-06 GiB is too small a ring: .*\n$")
        whole, _ = self.planned("ring", 2)
        self.assertRegex(whole["snapshots for checkpoints"], r"^[0-9.]+ [KM]iB$")

    def test_what_cannot_fit_is_refused_with_what_can(self):
        small = ["train.device_memory_gib=0.0036", "train.micro_batch=6"]
        self.assert_refused("large", small, "train.micro_batch: 6 sequences of 32", "train.device_memory_gib",
                            "the largest micro-batch that fits is 4", "with train.recompute cola_m it takes")
        self.assert_refused("never", ["train.device_memory_gib=0.0001"], "not even one sequence fits")
        self.assert_refused("negative", ["train.device_memory_gib=-1"], "train.device_memory_gib=-1: must be at least 0")

    def test_what_does_not_fit_the_memory_of_a_job_or_container_is_refused(self):
        version_1 = pathlib.Path("/sys/fs/cgroup/memory")
        mount, limit = (version_1, "memory.limit_in_bytes") if version_1.exists() else (version_1.parent, "memory.max")
        group = mount / f"cola-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(300 << 20))
        except OSError as error:
            self.skipTest(f"no control group can be made here: {error}")
        self.addCleanup(subprocess.run, ["bash", "-c", f"until rmdir {group}; do sleep 0.1; done"], timeout=20,
                        stderr=subprocess.DEVNULL)  # it is busy for a moment after its last process
        joining = ["bash", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', group]
        fitting = self.call([*joining, *self.command("fitting", None, "schedule.total_steps=5")])
        self.assertRegex(fitting.stdout, r"  fits its part of the host's memory +29\d MiB\n")
        large = ["model.hidden_size=512", "train.micro_batch=256", "train.global_batch=256"]
        done = self.call([*joining, *self.command("large", None, *large)], expect=2)
        self.assertRegex(done.stderr, r"train.micro_batch: 256 sequences of 32 take .* a rank, more than its part of the host's "
                                      r"memory \([0-9.]+ MiB\): the largest micro-batch that fits is \d+")

    def test_policies_that_cannot_be_are_refused_with_those_that_can(self):
        self.assert_refused("full", ["train.recompute=cola_m", "model.projection=full"], "train.recompute", "block")
        self.assert_refused("unknown", ["train.recompute=cola-m"], "train.recompute", "none, cola_m, block")


if __name__ == "__main__":
    harness.unittest.main()
