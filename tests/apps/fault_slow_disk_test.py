"""A run that fails while its checkpoint waits for a slow disk: what went wrong is said at once, and the run directory stays
locked for as long as anything is written there."""
import os
import shutil
import subprocess
import time

import harness

SLOW = 25  # seconds that the disk takes


class SlowDisk(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        data = cls.directory / "data"  # of several files, the start looks into the first alone
        for number in (1, 2, 3):
            shutil.copy(data / "validation-00000.h5", data / f"validation-0000{number}.h5")

    def start(self, run, ranks, seconds):
        """Step 50 is being saved, slowly, when rank 0 cannot read the data that it evaluates step 99 with."""
        rules = "slow_fsync:step-00000050/shard-00000.h5.tmp,read@cola_dist:validation-00001.h5:1:0"
        variables = [f"LD_PRELOAD={harness.FAILING_CALLS}", f"COLA_FAILING_CALLS={rules}", f"COLA_SLOW_SECONDS={seconds}",
                     f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"]
        program = self.command(run, None, "schedule.total_steps=100", "checkpoint.every=50", "evaluation.every=99",
                               "evaluation.tokens=8192")
        words = ["env", *variables, *program]
        if ranks > 1:
            words = self.job_of(words, *[program] * (ranks - 1))
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def read_error(self, job):
        said = ""
        while "Input/output error" not in said:
            line = job.stderr.readline()
            self.assertTrue(line, said)
            said += line
        self.assertIn("validation-00001.h5", said)

    def test_the_error_of_one_rank_ends_the_job_without_waiting_for_its_writer(self):
        begin = time.monotonic()
        job = self.start("two", 2, SLOW)
        self.read_error(job)
        job.communicate(timeout=60)
        self.assertNotIn(job.returncode, (0, 2, 75))
        self.assertLess(time.monotonic() - begin, SLOW)

    def test_the_directory_stays_locked_until_the_writer_has_ended(self):
        job = self.start("one", 1, 4)
        self.read_error(job)
        self.assertIsNone(job.poll())  # said before the end
        done = self.train("one", None, expect=2)
        self.assertIn(f"another job is working in it (process {job.pid} on ", done.stderr)
        self.assertIsNone(job.poll())
        self.assertEqual(job.stderr.read().count("error: "), 0)  # nor said again
        self.assertEqual(job.wait(timeout=60), 1)
        self.assertEqual(self.checkpoints("one"), [])
        self.train("one", None, "schedule.total_steps=10")


if __name__ == "__main__":
    harness.unittest.main()
