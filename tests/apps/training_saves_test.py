"""When a checkpoint is committed beside what else a run does."""
import json
import os
import time

import harness

LIBRARY = harness.PROGRAMS.parent / "lib/libfailing_calls.so"


class Saves(harness.TrainingTest):
    def kinds(self, run):
        with open(self.directory / run / "metrics.jsonl") as file:
            return [(entry["event"], entry["step"]) for entry in map(json.loads, file)]

    def test_a_checkpoint_is_committed_in_the_middle_of_an_evaluation(self):
        self.train("beside", 2, "schedule.total_steps=12", "checkpoint.every=10", "checkpoint.bandwidth_mib=2",
                   "evaluation.every=11", f"data.validation=[{self.directory}/data/train-*.h5]", "evaluation.tokens=1000000")
        kinds = self.kinds("beside")
        self.assertLess(kinds.index(("checkpoint", 10)), kinds.index(("evaluation", 11)))

    def test_a_limit_does_not_hold_up_training_that_waits(self):
        """At this rate the three checkpoints would take minutes."""
        begin = time.monotonic()
        self.train("waits", 2, "schedule.total_steps=30", "checkpoint.async=false", "checkpoint.bandwidth_mib=0.01")
        self.train("queues", 2, "schedule.total_steps=3", "schedule.warmup_steps=1",
                   "checkpoint.every=1", "checkpoint.bandwidth_mib=0.01")
        self.assertLess(time.monotonic() - begin, 40)
        self.assertEqual(self.checkpoints("queues"), [f"step-{step:08d}" for step in (1, 2, 3)])

    def test_a_failing_checkpoint_does_not_hide_that_the_loss_is_not_finite(self):
        program = self.command("infinite", None, "optimizer.lr=1.0e30", "optimizer.grad_clip=0", "checkpoint.every=1",
                               "schedule.warmup_steps=0", "checkpoint.max_failures=1")
        done = self.call(["env", f"LD_PRELOAD={LIBRARY}", "COLA_FAILING_CALLS=write@cola_dist:shard-00000.h5.tmp:1:0",
                          f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0", *program], expect=1)
        self.assertRegex(done.stderr, r"step 2: the (loss|gradient) (of rank 0 )?is not finite; the weights are untouched, the last "
                                      r"checkpoint is none; 1 checkpoints in a row failed .*cannot write: Input/output error")


if __name__ == "__main__":
    harness.unittest.main()
