"""A run that fails while its checkpoint waits for a slow disk: what went wrong is said at once, and the run directory stays
locked for as long as anything is written there."""
import os
import subprocess
import time

import harness

LIBRARY = harness.PROGRAMS.parent / "lib/libfailing_calls.so"
SLOW = 25  # seconds that the disk takes


class SlowDisk(harness.TrainingTest):
    def start(self, run, ranks, seconds):
        """Step 50 is being saved, slowly, when rank 0 cannot read the data that it evaluates step 99 with."""
        rules = "slow_fsync:step-00000050/shard-00000.h5.tmp,read@cola_dist:validation-00000.h5:1:0"
        variables = [f"LD_PRELOAD={LIBRARY}", f"COLA_FAILING_CALLS={rules}", f"COLA_SLOW_SECONDS={seconds}",
                     f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"]
        program = self.command(run, None, "schedule.total_steps=100", "checkpoint.every=50", "evaluation.every=99")
        words = ["env", *variables, *program]
        if ranks > 1:
            words = [self.MPIRUN, "--oversubscribe", "-n", "1", *words, ":", "-n", str(ranks - 1), *program]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def read_error(self, job):
        said = ""
        while "Input/output error" not in said:
            line = job.stderr.readline()
            self.assertTrue(line, said)
            said += line
        self.assertIn("validation-00000.h5", said)

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
        self.assertIn("another job is working in it: rank 0 on ", done.stderr)
        self.assertIsNone(job.poll())
        self.assertEqual(job.stderr.read().count("error: "), 0)  # nor said again
        self.assertEqual(job.wait(timeout=60), 1)
        self.assertEqual(self.checkpoints("one"), [])
        self.train("one", None, "schedule.total_steps=10")


if __name__ == "__main__":
    harness.unittest.main()
