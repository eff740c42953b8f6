"""run.time_limit counts from the start of the first rank, however late the others come."""
import os
import re
import time
import unittest.mock

import harness


SHORT = "are kept to save in (run.stop_margin, two steps, two checkpoints): it makes a few steps at most"


class TimeLimit(harness.TrainingTest):
    def train_before(self, end, run, *settings, expect=0):
        """Trains as a job that ends in so many seconds, by the word of a job script."""
        with unittest.mock.patch.dict(os.environ, COLA_JOB_END_TIME=str(int(time.time()) + end)):
            return self.train(run, 2, *settings, expect=expect)

    def test_a_job_that_is_too_short_says_so(self):
        done = self.train_before(25, "short", expect=75)
        self.assertRegex(done.stderr, r"warning: the job ends in \d+ s, of which 30 s " + re.escape(SHORT))
        self.assertNotIn(SHORT, self.train_before(600, "long").stderr)

    def test_a_restart_knows_how_long_a_checkpoint_takes(self):
        self.train("again", 2)
        metrics = self.directory / "again/metrics.jsonl"
        metrics.write_text(re.sub(r'"full_speed_seconds":[^,}]+', '"full_speed_seconds":500', metrics.read_text()))
        done = self.train_before(600, "again", "schedule.total_steps=80", expect=75)
        self.assertRegex(done.stderr, "of which 103[01] s " + re.escape(SHORT))
        self.assertIn("stopped by the time limit after step 41, saved", done.stdout)
        done = self.train_before(600, "again", "schedule.total_steps=80")  # by now it was measured anew
        self.assertNotIn(SHORT, done.stderr)

    def test_a_late_rank_does_not_move_the_end(self):
        program = self.command("late", None, "schedule.total_steps=1000000", "checkpoint.every=0", "evaluation.every=0",
                               "run.time_limit=8", "run.stop_margin=1")
        late = ["sh", "-c", 'sleep 5; exec "$@"', "sh"]
        begin = time.monotonic()
        done = self.call(self.job_of(program, late + program), expect=75)
        self.assertIn("stopped by the time limit", done.stdout)
        self.assertLess(time.monotonic() - begin, 11.5)  # 5 s more if the last rank counted


if __name__ == "__main__":
    harness.unittest.main()
