"""Training as a job of a real Slurm of two nodes: it finishes, meets its time limit, is cancelled, and loses a node.

slurm_test.py PROGRAMS [CLASS]"""
import pathlib
import re
import subprocess
import sys
import unittest

import cluster

cluster.enter_namespaces(("Jobs", "Disturbances"))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "apps"))
import jobs  # noqa: E402  (takes the folder of the programs from the command line)
from jobs import Job  # noqa: E402

STEPS = 1200


class SlurmTest(unittest.TestCase):
    """A cluster, and on it a run that nothing disturbs."""

    @classmethod
    def setUpClass(cls):
        cls.slurm = cls.enterClassContext(cluster.Cluster())
        jobs.install(cls.slurm)
        cls.whole = Job(cls.slurm, "whole", STEPS)
        cls.whole.submit()
        cls.whole.wait("COMPLETED")


class Jobs(SlurmTest):
    def test_trains_on_two_nodes_of_two_ranks(self):
        self.assertIn("ranks: 4 over MPI", self.whole.log())
        self.assertIn(f"finished step {STEPS}", self.whole.log())

    def test_a_chain_of_jobs(self):
        Job(self.slurm, "chained", steps=100)
        chain = (self.slurm.folder / "jobs/slurm/chain.sh").read_text()
        chain = chain.replace("preparation=()", "preparation=(--ntasks-per-node=2 --time=20)")
        chain = chain.replace("training=()", "training=(--cpus-per-task=1 --time=20)")
        said = self.slurm.call("bash", "-c", chain, "chain.sh", "chained.yaml", "chained-data", "--bytes", "--document-bytes",
                               "500", "--input", "text.txt")
        for number in re.findall(r"\d+", said):
            self.slurm.wait_for_state(number, "COMPLETED", 120)
        self.assertIn("step-00000100", (self.slurm.folder / f"cola-check-{number}.log").read_text())

    def test_a_failure_is_not_repeated(self):
        job = Job(self.slurm, "failing", STEPS)
        job.submit("data.train=[nowhere-*.h5]")
        job.wait("FAILED")
        self.assertIn("no token file matches 'nowhere-*.h5'", job.log())
        self.assertNotIn("back into the queue", job.log())
        self.assertEqual(self.slurm.job(job.number)["ExitCode"], "2:0")

    def test_a_job_that_may_not_be_requeued(self):
        job = Job(self.slurm, "not-requeued", STEPS)
        job.submit(options=["--no-requeue"])
        job.warn_after_step(100)
        job.wait("FAILED")
        self.assertIn("this job may not be requeued (sbatch --no-requeue): when it ends early, submit it again", job.log())
        self.assertIn("stopped early with a committed checkpoint; this job may not be requeued", job.log())
        self.assertEqual(self.slurm.job(job.number)["ExitCode"], "75:0")
        self.assertTrue(job.checkpoints())

    def test_cancelled_with_scancel(self):
        job = Job(self.slurm, "cancelled", STEPS)
        job.submit()
        job.wait_for_step(350)
        self.slurm.call("scancel", job.number)
        job.wait("CANCELLED")
        cluster.wait_for(lambda: "stopped by SIGTERM" in job.log(), 20, "the last checkpoint")
        self.assertGreater(int(job.checkpoints()[-1].removeprefix("step-")), 350)
        job.submit()
        job.wait("COMPLETED")
        job.assert_finished_as(self.whole, STEPS)

    def test_killed_after_a_checkpoint_of_its_own_that_came_of_another_runs(self):
        job = Job(self.slurm, "chosen", STEPS)
        job.submit(more=("--resume", "whole/checkpoints/step-00000600"))
        self.assertGreater(job.wait_for_checkpoint(), "step-00000600")
        self.slurm.call("scancel", "--signal=KILL", f"{job.number}.0")
        job.wait("PENDING")
        job.wait("COMPLETED")
        self.assertIn("after new checkpoints: back into the queue", job.log())
        self.assertIn("resumes from what has come of --resume", job.log())
        self.assertEqual(subprocess.run(["bin/cola_ckpt", "diff", "whole", "chosen"]).returncode, 0)

    def test_ranks_that_end_one_after_another_and_the_bound_on_restarts(self):
        late = self.slurm.folder / "late"
        late.write_text('#!/bin/bash\ntrap : USR1\nbin/cola_dist "$@"; code=$?; sleep $((2 * SLURM_PROCID)); exit $code\n')
        late.chmod(0o755)
        job = Job(self.slurm, "late-ranks", STEPS)
        job.submit(environment={"COLA_DIST": "./late", "COLA_MOST_RESTARTS": "1"})
        job.warn_after_step(100)
        job.wait("PENDING")
        job.warn_after_step(400)
        job.wait("FAILED")
        self.assertIn("restarted 1 times already, so the job ends here", job.log())
        fields = self.slurm.job(job.number)
        self.assertEqual((fields["Restarts"], fields["ExitCode"]), ("1", "75:0"))

    def test_ranks_that_die_before_the_run_begins(self):
        dying = self.slurm.folder / "dying"
        dying.write_text('#!/bin/bash\n[ -z "$PMIX_RANK" ] || ! mkdir died 2>/dev/null || kill -SEGV $$\n'
                         'exec bin/cola_dist "$@"\n')
        dying.chmod(0o755)
        job = Job(self.slurm, "dying-ranks", steps=20)
        job.submit(environment={"COLA_DIST": "./dying"})
        job.wait("COMPLETED")
        self.assertIn("the ranks died (exit code 139) before the run began: started once more", job.log())
        self.assertIn("finished step 20", job.log())


class Disturbances(SlurmTest):
    def test_time_limit(self):
        job = Job(self.slurm, "limited", STEPS)
        job.submit("run.stop_margin=57", minutes=1)
        job.wait("PENDING")
        job.wait("RUNNING")
        job.wait("PENDING")
        self.slurm.call("scontrol", "update", f"JobId={job.number}", "TimeLimit=20")
        job.wait("COMPLETED")
        log = job.log()
        self.assertRegex(log, r"stopped by (the time limit|SIGUSR1) after step \d+, saved")
        self.assertIn("committed checkpoint: back into the queue", log)
        self.assertRegex(log, r"resumes from \S*limited/checkpoints/step-")
        self.assertGreaterEqual(int(self.slurm.job(job.number)["Restarts"]), 1)
        job.assert_finished_as(self.whole, STEPS)

    def test_a_lost_node(self):
        job = Job(self.slurm, "lost", STEPS)
        job.submit()
        committed = job.wait_for_checkpoint()
        self.slurm.kill_node("n2")
        job.wait("PENDING")
        self.slurm.start_node("n2")
        job.wait("COMPLETED")
        resumed = re.search(r"resumes from \S*lost/checkpoints/(step-\d+)", job.log())
        self.assertGreaterEqual(resumed[1], committed)
        job.assert_finished_as(self.whole, STEPS)

    def test_a_controller_that_is_away(self):
        job = Job(self.slurm, "no-controller", STEPS)
        job.submit()
        job.warn_after_step(100)
        self.slurm.stop_controller()
        cluster.wait_for(lambda: re.search("back into the queue\n.+\n", job.log()), 60, "a requeue that fails")
        self.slurm.start_controller()
        job.wait("COMPLETED")
        job.assert_finished_as(self.whole, STEPS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
