"""run.time_limit counts from the start of the first rank, however late the others come."""
import time

import harness


class TimeLimit(harness.TrainingTest):
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
