"""Training as a job of a real Slurm of two nodes: it finishes, meets its time limit, is cancelled, and loses a node."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

import cluster

cluster.enter_namespace()
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "apps"))
import harness  # noqa: E402  (takes the folder of the programs from the command line)

STEPS = 1200
CONFIGURATION = harness.CONFIGURATION.replace("total_steps: 40", "total_steps: STEPS").replace(
    "checkpoint: {every: 10,", "checkpoint: {every: 300,").replace("evaluation: {every: 20,", "evaluation: {every: 500,")
OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl_tcp_if_include": "lo",
            "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self,vader,tcp", "OMPI_MCA_mpi_yield_when_idle": "1"}


class Job:
    """One run of the configuration as a job."""

    def __init__(self, slurm, name, steps=STEPS):
        self.slurm, self.name = slurm, name
        self.run = slurm.folder / name
        text = CONFIGURATION.replace("DIRECTORY", name).replace("DATA", "data").replace("STEPS", str(steps))
        (slurm.folder / f"{name}.yaml").write_text(text)

    def submit(self, *settings, minutes=20):
        words = [word for setting in settings for word in ("--set", setting)]
        self.number = self.slurm.submit(
            f"--job-name={self.name}", "--cpus-per-task=1", f"--time={minutes}", f"--output={self.name}.log",
            "jobs/slurm/generic.sbatch", f"{self.name}.yaml", *words)

    def wait(self, state, seconds=150):
        self.slurm.wait_for_state(self.number, state, seconds)

    def wait_for_step(self, step, seconds=60):
        metrics = self.run / "metrics.jsonl"
        cluster.wait_for(lambda: metrics.exists() and f'"step":{step},' in metrics.read_text(), seconds,
                         f"step {step} of {self.name}")

    def log(self):
        return (self.slurm.folder / f"{self.name}.log").read_text()

    def checkpoints(self):
        return sorted(path.parent.name for path in (self.run / "checkpoints").glob("step-*/manifest.json"))


class SlurmTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.slurm = cls.enterClassContext(cluster.Cluster())
        folder = cls.slurm.folder
        # Installed, as users of a cluster have it.
        cls.slurm.call("cmake", "--install", harness.PROGRAMS.parent, "--prefix", folder, "--component", "cola_dist")
        (folder / "jobs").symlink_to("share/cola_dist/jobs")
        (folder / "text.txt").write_text(harness.corpus())
        os.environ.update(OPEN_MPI, COLA_DIST="bin/cola_dist", COLA_DATA="bin/cola_data", COLA_PROGRAMS="bin")
        os.chdir(folder)
        cls.slurm.call("bin/cola_data", "tokenize", "--input", "text.txt", "--output", "data", "--bytes",
                       "--document-bytes", "500")
        cls.whole = Job(cls.slurm, "whole")
        cls.whole.submit()
        cls.whole.wait("COMPLETED")

    def assert_finished_as_the_whole_run(self, job):
        done = subprocess.run(["bin/cola_ckpt", "diff", "whole", job.name], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + job.log())
        steps = [int(step) for step in re.findall(r'"event":"step","step":(\d+),', (job.run / "metrics.jsonl").read_text())]
        self.assertEqual(steps, list(range(1, STEPS + 1)))

    def test_trains_on_two_nodes_of_two_ranks(self):
        self.assertIn("ranks: 4 over MPI", self.whole.log())
        self.assertIn(f"finished step {STEPS}", self.whole.log())

    def test_time_limit(self):
        job = Job(self.slurm, "limited")
        job.submit("run.stop_margin=54", minutes=1)
        job.wait("COMPLETED")
        log = job.log()
        self.assertRegex(log, r"stopped by (the time limit|SIGUSR1) after step \d+, saved")
        self.assertIn("committed checkpoint: back into the queue", log)
        self.assertRegex(log, r"resumes from \S*limited/checkpoints/step-")
        self.assertGreaterEqual(int(self.slurm.job(job.number)["Restarts"]), 1)
        self.assert_finished_as_the_whole_run(job)

    def test_cancelled_with_scancel(self):
        job = Job(self.slurm, "cancelled")
        job.submit()
        job.wait_for_step(350)
        self.slurm.call("scancel", job.number)
        job.wait("CANCELLED")
        cluster.wait_for(lambda: "stopped by SIGTERM" in job.log(), 20, "the last checkpoint")
        self.assertGreater(int(job.checkpoints()[-1].removeprefix("step-")), 350)
        job.submit()
        job.wait("COMPLETED")
        self.assert_finished_as_the_whole_run(job)

    def test_a_lost_node(self):
        job = Job(self.slurm, "lost")
        job.submit()
        job.wait_for_step(350)
        self.slurm.kill_node("n2")
        job.wait("PENDING")
        self.slurm.start_node("n2")
        job.wait("COMPLETED")
        self.assertRegex(job.log(), r"resumes from \S*lost/checkpoints/step-00000300")
        self.assert_finished_as_the_whole_run(job)

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
        job = Job(self.slurm, "failing")
        job.submit("data.train=[nowhere-*.h5]")
        job.wait("FAILED")
        self.assertIn("no token file matches 'nowhere-*.h5'", job.log())
        self.assertNotIn("back into the queue", job.log())
        self.assertEqual(self.slurm.job(job.number)["ExitCode"], "2:0")


if __name__ == "__main__":
    unittest.main(verbosity=2)
