"""Kills runs at every stage of a checkpoint and looks at what is left: `scripts/fault-sweep.sh` is the long form of it.

Each trial trains on a few ranks, loses one of them or all to SIGKILL at a named fault point (src/core/fault_point.h) or
at a random moment, and is started again. What must hold each time:
  - every checkpoint with a manifest verifies, byte by byte;
  - the second start resumes from the newest of them, and clears away all that is unfinished;
  - it ends with weights and moments identical to those of a run that was never disturbed.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

POINTS = ["snapshot", "update", "shard_begin", "shard_write", "shard_flush", "shard_commit", "rename", "renamed", "manifest",
          "committed", "retire", "retire_files", "retired", "drain"]
ONLY_RANK_0 = {"manifest", "committed", "retire", "retire_files", "retired"}
SETTINGS = ["schedule.total_steps=24", "checkpoint.every=3", "checkpoint.keep=2", "evaluation.every=0",
            "train.global_batch=6", "train.micro_batch=1"]


class Sweep:
    """One kind of run, trained once undisturbed and then disturbed again and again."""

    def __init__(self, test, ranks):
        self.test, self.ranks, self.reference = test, ranks, f"reference{ranks}"
        begin = time.monotonic()
        test.train(self.reference, ranks, *SETTINGS)
        self.seconds = time.monotonic() - begin

    def start(self, run, settings, point=None, victims=()):
        """The run's ranks as one job; `victims` get the fault point."""
        program = self.test.command(run, None, *SETTINGS, *settings)
        faulty = ["env", f"COLA_FAULT_POINT={point}", *program]
        words = self.test.job_of(*(faulty if rank in victims and point else program for rank in range(self.ranks)))
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def trial(self, run, random_numbers, point=None):
        """Kills and resumes one run. Returns what was done and whether the kill struck before the end."""
        everyone = random_numbers.random() < 0.3
        victim = 0 if point in ONLY_RANK_0 else random_numbers.randrange(self.ranks)
        settings = ["checkpoint.bandwidth_mib=%g" % random_numbers.choice([0, 4, 16]),
                    "checkpoint.async=%s" % random_numbers.choice(["true", "true", "true", "false"]),
                    "checkpoint.verify=%s" % random_numbers.choice(["true", "false"]),
                    *self.staging(run, point == "drain" or random_numbers.random() < 0.3)]
        if point:
            point = f"{point}:{random_numbers.randint(1, 5)}"
            process = self.start(run, settings, point, range(self.ranks) if everyone else [victim])
        else:
            process = self.start(run, settings)
            delay = random_numbers.uniform(0.3, 1.1) * self.seconds
            time.sleep(delay)
            point = f"{delay:.2f} s"
            ranks = self.test.ranks_of(process)
            for rank in ranks if everyone else ranks[victim:victim + 1]:
                os.kill(rank, signal.SIGKILL)
        process.communicate(timeout=120)
        self.check(run, settings)
        return f"{point}, {'all ranks' if everyone else f'rank {victim}'}, {' '.join(settings)}", process.returncode != 0

    def staging(self, run, wanted):
        return [f"checkpoint.local_dir={self.test.directory / run / 'local'}"] if wanted else []

    def check(self, run, settings):
        committed = self.test.checkpoints(run)
        for step in committed:
            self.test.call([self.test.PROGRAMS / "cola_ckpt", "verify", self.folder(run) / step], expect=0)
        process = self.start(run, settings)
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
        found = re.search(r"resumes from \S+/(step-\d+)", said)
        resumed = found.group(1) if found else None
        drained = re.search(r"drained (step-\d+) from", said)  # whole on the local disk, and newer
        newest = max(committed + ([drained.group(1)] if drained else []), default=None)
        assert resumed == newest, (committed, said)
        left = sorted(path.name for path in self.folder(run).iterdir())
        assert left == self.test.checkpoints(run) and len(left) <= 3, left
        assert not list(self.folder(run).glob("*/*.tmp"))
        self.test.call([self.test.PROGRAMS / "cola_ckpt", "diff", self.test.directory / self.reference,
                        self.test.directory / run], expect=0)

    def folder(self, run):
        folder = self.test.directory / run / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def sweep(test, ranks, count, seed, say):
    """`count` trials, the named points in turn with every third at a random moment. Returns how many kills struck."""
    numbers, struck = random.Random(seed), 0
    one = Sweep(test, ranks)
    for trial in range(count):
        point = None if trial % 3 == 2 else POINTS[(trial - trial // 3) % len(POINTS)]
        run = f"trial{trial}"
        what, killed = one.trial(run, numbers, point)
        struck += killed
        say(f"{trial + 1}/{count} {'killed' if killed else 'ended before the kill'}: {what}")
        shutil.rmtree(test.directory / run)
    return struck


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path, help="folder of the built programs")
    parser.add_argument("--count", type=int, default=40, help="kills that must have struck (default 40)")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    line = parser.parse_args()
    sys.argv = [sys.argv[0], str(line.programs)]
    import harness
    harness.TrainingTest.setUpClass()
    try:
        print(f"seed {line.seed}, {line.ranks} ranks, in {harness.TrainingTest.directory}", flush=True)
        struck, part = 0, 0
        while struck < line.count:
            struck += sweep(harness.TrainingTest, line.ranks, line.count - struck, line.seed + part,
                            lambda text: print(text, flush=True))
            part += 1
        print(f"{struck} kills: no partial checkpoint was loaded, every run went on from its newest committed one and "
              f"ended identical to the undisturbed run")
    finally:
        harness.TrainingTest.tearDownClass()


if __name__ == "__main__":
    main()
