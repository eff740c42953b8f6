"""Kills training jobs at random through Slurm, for some minutes, and compares each run's final state with that of an
undisturbed one.

soak.py PROGRAMS [--minutes N] [--seed N]
"""
import argparse
import pathlib
import random
import sys
import time

import cluster

cluster.enter_namespace()
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("programs")
parser.add_argument("--minutes", type=float, default=20)
parser.add_argument("--seed", type=int, default=None, help="of the disturbances; the clock's by default")
arguments = parser.parse_args()
sys.argv = [sys.argv[0], arguments.programs]
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "apps"))
import jobs  # noqa: E402

STEPS = 8000


class Soak:
    def __init__(self, slurm, chance, undisturbed_seconds):
        self.slurm, self.chance = slurm, chance
        self.undisturbed_seconds = undisturbed_seconds
        self.counts = {}

    def run(self, job):
        """One run to its end, disturbed a few times; a job that ended is submitted again, as a person would."""
        job.submit()
        next_time = self.next_time()
        while (state := self.slurm.job(job.number)["JobState"]) != "COMPLETED":
            if state in cluster.ENDED:
                job.submit()
            elif state == "RUNNING" and time.monotonic() > next_time:
                kind = self.chance.choice((self.warn, self.kill_ranks, self.cancel, self.requeue, self.cut_power))
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
                kind(job)
                next_time = self.next_time()
            time.sleep(0.3)

    def next_time(self):
        """Of the next disturbance: three a run or so, however fast the machine is."""
        return time.monotonic() + self.undisturbed_seconds * self.chance.uniform(0.1, 0.6)

    def warn(self, job):
        self.slurm.call("scancel", "--signal=" + self.chance.choice(("USR1", "USR2", "TERM")), f"{job.number}.0", check=False)

    def kill_ranks(self, job):
        self.slurm.call("scancel", "--signal=KILL", f"{job.number}.0", check=False)

    def cancel(self, job):
        self.slurm.call("scancel", job.number, check=False)

    def requeue(self, job):
        self.slurm.call("scontrol", "requeue", job.number, check=False)

    def cut_power(self, _):
        node = self.chance.choice(cluster.NODES)
        self.slurm.kill_node(node)
        time.sleep(self.chance.uniform(0, 15))
        self.slurm.start_node(node)


def main():
    seed = arguments.seed if arguments.seed is not None else int(time.time())
    end = time.monotonic() + 60 * arguments.minutes
    print(f"soak of {arguments.minutes:g} minutes, seed {seed}", flush=True)
    with cluster.Cluster() as slurm:
        jobs.install(slurm)
        whole = jobs.Job(slurm, "whole", STEPS)
        began = time.monotonic()
        whole.submit()
        whole.wait("COMPLETED")
        undisturbed_seconds = time.monotonic() - began
        print(f"{STEPS} steps without disturbance take {undisturbed_seconds:.0f} s", flush=True)
        soak, runs = Soak(slurm, random.Random(seed), undisturbed_seconds), 0
        while time.monotonic() < end:
            job = jobs.Job(slurm, f"run{runs}", STEPS)
            soak.run(job)
            job.assert_finished_as(whole, STEPS)
            runs += 1
            starts = job.log().count("starts at step 0") + job.log().count("resumes from")
            print(f"{job.name}: finished as the undisturbed run after {starts} starts; disturbances so far {soak.counts}",
                  flush=True)
    print(f"{runs} runs of {STEPS} steps, {sum(soak.counts.values())} disturbances: every final state is identical")


main()
