"""What the Slurm test and the soak share: the programs installed on a cluster, and one training run as a job."""
import os
import re
import subprocess

import cluster
import harness

CONFIGURATION = harness.CONFIGURATION.replace("total_steps: 40", "total_steps: STEPS").replace(
    "checkpoint: {every: 10,", "checkpoint: {every: 300,").replace("evaluation: {every: 20,", "evaluation: {every: 500,")
OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl_tcp_if_include": "lo",
            "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self,vader,tcp", "OMPI_MCA_mpi_yield_when_idle": "1"}


class Job:
    """One run of the configuration as a job."""

    def __init__(self, slurm, name, steps):
        self.slurm, self.name = slurm, name
        self.run = slurm.folder / name
        text = CONFIGURATION.replace("DIRECTORY", name).replace("DATA", "data").replace("STEPS", str(steps))
        (slurm.folder / f"{name}.yaml").write_text(text)

    def submit(self, *settings, minutes=20, options=(), environment=None, more=()):
        words = [word for setting in settings for word in ("--set", setting)] + list(more)
        self.number = self.slurm.submit(
            f"--job-name={self.name}", "--cpus-per-task=1", f"--time={minutes}", f"--output={self.name}.log", *options,
            "jobs/slurm/generic.sbatch", f"{self.name}.yaml", *words, environment=environment)

    def wait(self, state, seconds=300):
        self.wait_with_log(lambda: self.slurm.wait_for_state(self.number, state, seconds))

    def wait_for_step(self, step, seconds=180):
        metrics = self.run / "metrics.jsonl"
        self.wait_with_log(lambda: cluster.wait_for(
            lambda: metrics.exists() and f'"step":{step},' in metrics.read_text(), seconds, f"step {step} of {self.name}"))

    def wait_with_log(self, waiting):
        """With what the job has said and Slurm says of it, where the wait is in vain."""
        try:
            waiting()
        except (RuntimeError, TimeoutError) as error:
            raise RuntimeError(f"{error}; {self.slurm.job(self.number)}\n{self.log()}") from None

    def warn_after_step(self, step):
        """Asks the ranks to stop, as Slurm does before the time limit."""
        self.wait_for_step(step)
        self.slurm.call("scancel", "--signal=USR1", self.number)  # to its steps, of which there may be two

    def log(self):
        log = self.slurm.folder / f"{self.name}.log"
        return log.read_text() if log.exists() else "(the job has not begun)"

    def wait_for_checkpoint(self, seconds=180):
        """The newest one's name, once there is one: it is committed some steps after the one it is named after."""
        self.wait_with_log(lambda: cluster.wait_for(self.checkpoints, seconds, f"a checkpoint of {self.name}"))
        return self.checkpoints()[-1]

    def checkpoints(self):
        return sorted(path.parent.name for path in (self.run / "checkpoints").glob("step-*/manifest.json"))

    def assert_finished_as(self, other, steps):
        """The same bytes in every tensor and moment, and every step logged once."""
        done = subprocess.run(["bin/cola_ckpt", "diff", other.name, self.name], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr + self.log())
        logged = [int(step) for step in re.findall(r'"event":"step","step":(\d+),', (self.run / "metrics.jsonl").read_text())]
        if logged != list(range(1, steps + 1)):
            raise AssertionError(f"{self.name}: steps are missing or logged twice in metrics.jsonl")


def install(slurm):
    """Installs the programs into the cluster's folder, as users of a cluster have them, and makes token files."""
    slurm.call("cmake", "--install", harness.PROGRAMS.parent, "--prefix", slurm.folder, "--component", "cola_dist")
    (slurm.folder / "jobs").symlink_to("share/cola_dist/jobs")
    (slurm.folder / "text.txt").write_text(harness.corpus())
    os.environ.update(OPEN_MPI, COLA_DIST="bin/cola_dist", COLA_DATA="bin/cola_data", COLA_PROGRAMS="bin")
    os.chdir(slurm.folder)
    slurm.call("bin/cola_data", "tokenize", "--input", "text.txt", "--output", "data", "--bytes", "--document-bytes", "500")
