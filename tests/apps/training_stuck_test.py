"""A rank that dies or stops ends the whole job within parallel.timeout_seconds; a job that is suspended goes on."""
import os
import pathlib
import random
import signal
import subprocess
import time
import unittest.mock

import harness

TIMEOUT = 2


def ranks_of(launcher):
    """The process ids of the launcher's ranks, in rank order."""
    ranks = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent != launcher.pid:
                continue
            variables = dict(entry.partition("=")[::2] for entry in (folder / "environ").read_text().split("\0"))
            ranks[int(variables["OMPI_COMM_WORLD_RANK"])] = int(folder.name)
        except (OSError, KeyError):
            continue  # it is gone, or no rank
    return [ranks[rank] for rank in sorted(ranks)]


def is_running(process):
    """Whether it still is something to be killed: not gone, and no zombie."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def slow_disk(step, seconds):
    """Of runs that start meanwhile, the first shard of that step takes so long to reach the disk."""
    return unittest.mock.patch.dict(os.environ, LD_PRELOAD=str(harness.FAILING_CALLS), COLA_SLOW_SECONDS=str(seconds),
                                    COLA_FAILING_CALLS=f"slow_fsync:step-{step:08}/shard-00000.h5.tmp",
                                    ASAN_OPTIONS=f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0")


class Stuck(harness.TrainingTest):
    SETTINGS = ()
    STEPS_AFTER_SUSPENSION = 50

    def start(self, run, *settings):
        """A job of three ranks that is in the middle of training, and its ranks."""
        job = subprocess.Popen(self.command(run, 3, f"parallel.timeout_seconds={TIMEOUT}", "checkpoint.every=0",
                                            "evaluation.every=0", *self.SETTINGS, *settings), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: job.poll() is None and job.kill())
        self.wait_for_step(run, job, 5)
        ranks = ranks_of(job)
        if len(ranks) != 3:
            self.skipTest("the launcher's ranks cannot be found")
        return job, ranks

    def wait_for_step(self, run, job, step):
        metrics = self.directory / run / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (metrics.exists() and f'"step":{step},' in metrics.read_text()):
            self.assertIsNone(job.poll(), "the job ended")
            self.assertLess(time.monotonic(), deadline, "the job made no progress")
            time.sleep(0.01)

    def assert_ends(self, job):
        begin = time.monotonic()
        errors = job.communicate(timeout=60)[1]
        self.assertNotIn(job.returncode, (0, 2, 75), errors)
        self.assertLess(time.monotonic() - begin, TIMEOUT + 15)
        return errors

    def assert_gone(self, ranks):
        deadline = time.monotonic() + 10  # the launcher does not wait for those it killed
        while any(map(is_running, ranks)):
            self.assertLess(time.monotonic(), deadline, "a rank is left behind")
            time.sleep(0.05)

    def test_a_stopped_rank_ends_the_job_with_a_line_that_names_the_operation(self):
        for stage in (0, 1):
            job, ranks = self.start(f"stopped{stage}", "schedule.total_steps=100000", f"parallel.zero_stage={stage}")
            os.kill(ranks[1], signal.SIGSTOP)
            errors = self.assert_ends(job)
            self.assertRegex(errors, r"cola_dist: rank [02] on \S+: error: stuck in (a|an|the) [a-z -]+ for [2-9] s: ")
            self.assert_gone(ranks)
            status = self.call([harness.PROGRAMS / "cola_dist", "--status", self.directory / f"stopped{stage}"], expect=0)
            self.assertRegex(status.stdout, r"state +failed: rank [02] on \S+: stuck in ")

    def test_a_file_system_that_hangs_hardly_delays_the_end(self):
        job, ranks = self.start("hanging", "schedule.total_steps=100000")
        heartbeat = self.directory / "hanging/heartbeat.json"
        os.kill(ranks[1], signal.SIGSTOP)
        time.sleep(0.5)  # the others now wait for that rank
        heartbeat.unlink()
        os.mkfifo(heartbeat)  # whoever opens it waits for ever
        begin = time.monotonic()
        self.assertIn("error: stuck in ", self.assert_ends(job))
        self.assertLess(time.monotonic() - begin, TIMEOUT + 7)  # not by the watchdog's grace
        self.assertTrue(heartbeat.is_fifo())
        self.assert_gone(ranks)

    def test_a_rank_that_stood_still_for_a_while_is_the_slowest(self):
        """While the others only waited. Unless it waited itself meanwhile, or others' GPUs did, for weights that it was
        late to hand on: a GPU's waiting counts as its work. Then again."""
        job, ranks = self.start("late", "schedule.total_steps=100000", "train.global_batch=24")
        late = []
        deadline = time.monotonic() + 60
        while not late:
            self.assertLess(time.monotonic(), deadline, self.events("late")[-1])
            newest = self.events("late")[-1]
            stopped_after = newest["step"]
            time.sleep(random.uniform(0, newest["step_seconds"]))  # not always in the same part of a step
            os.kill(ranks[1], signal.SIGSTOP)
            time.sleep(0.8)
            os.kill(ranks[1], signal.SIGCONT)
            time.sleep(0.2)
            self.wait_for_step("late", job, stopped_after + 2)  # stopped again before, it would seem dead
            late = [step for step in self.events("late") if step["slowest_rank"] == 1
                    and step["slowest_seconds"] > max(0.7, step["median_seconds"] + 0.2)]
        job.kill()
        job.communicate(timeout=60)
        self.assertEqual(late[0]["step_target_tokens"], 24 * 32)

    def test_a_rank_that_stops_during_a_save_ends_the_job_and_leaves_no_checkpoint(self):
        for mode in ("true", "false"):
            run = f"saving_{mode}"
            with slow_disk(6, 60):
                job, ranks = self.start(run, "schedule.total_steps=100000", "checkpoint.every=6",
                                        f"checkpoint.async={mode}")
            folder = self.directory / run / "checkpoints/step-00000006"
            while not list(folder.glob("shard-*.tmp")):
                self.assertIsNone(job.poll(), "the job ended")
                time.sleep(0.01)
            os.kill(ranks[1], signal.SIGSTOP)
            self.assertIn("error: stuck in ", self.assert_ends(job))
            self.assert_gone(ranks)
            self.assertEqual(self.checkpoints(run), [])
            self.train(run, 2, "schedule.total_steps=7", "checkpoint.every=0", "evaluation.tokens=128", *self.SETTINGS)
            self.assertEqual(self.checkpoints(run), ["step-00000007"])
            self.assertFalse(folder.exists())

    def test_a_killed_rank_ends_the_job(self):
        job, ranks = self.start("killed", "schedule.total_steps=100000")
        os.kill(ranks[2], signal.SIGKILL)
        self.assert_ends(job)

    def test_a_rank_that_waits_for_anothers_slow_disk_is_not_stuck(self):
        """Of two ranks one writes, for longer than the other may be inside a collective."""
        with slow_disk(2, 2 * TIMEOUT + 1):
            done = self.train("slow", 2, f"parallel.timeout_seconds={TIMEOUT}", "parallel.zero_stage=0",
                              "checkpoint.async=false", "checkpoint.every=2", "schedule.total_steps=3",
                              "schedule.warmup_steps=1", "evaluation.tokens=128", *self.SETTINGS)
        saved = self.events("slow", "checkpoint")
        self.assertEqual([event["step"] for event in saved], [2, 3], done.stderr)
        self.assertGreater(saved[0]["seconds"], 2 * TIMEOUT, saved)

    def start_that_ends(self, *commands):
        """What is said by a job whose ranks run these commands and that does not get as far as training."""
        with unittest.mock.patch.dict(os.environ, COLA_START_TIMEOUT=str(TIMEOUT)):
            job = subprocess.Popen(self.job_of(*commands), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.addCleanup(lambda: job.poll() is None and job.kill())
            errors = self.assert_ends(job)
        self.assertEqual(job.returncode, 1, errors)
        return errors

    def test_a_rank_that_never_starts_ends_the_job(self):
        train = self.command("unstarted", None, f"parallel.timeout_seconds={TIMEOUT}", *self.SETTINGS)
        errors = self.start_that_ends(train, ["sleep", "100"], train)
        self.assertRegex(errors, rf"cola_dist: rank [02] on \S+: error: no start within {TIMEOUT} s: waiting in MPI_Init; ")
        self.assertFalse((self.directory / "unstarted").exists())

    def test_a_file_system_that_hangs_at_the_start_ends_the_job(self):
        train = self.command("unread", None, f"parallel.timeout_seconds={TIMEOUT}", *self.SETTINGS)
        silent = self.directory / "silent.yaml"
        os.mkfifo(silent)
        writer = os.open(silent, os.O_RDWR)  # there to be read, but nothing comes
        self.addCleanup(os.close, writer)
        stuck = [str(silent) if word.endswith("/unread.yaml") else word for word in train]
        errors = self.start_that_ends(train, stuck)
        self.assertRegex(errors, rf"no start within {TIMEOUT} s: waiting in (MPI_Init|the reading of the configuration); ")

    def test_a_suspended_job_goes_on(self):
        job, ranks = self.start("suspended", "schedule.total_steps=100000")
        for rank in ranks:
            os.kill(rank, signal.SIGSTOP)
        time.sleep(2 * TIMEOUT)
        suspended_after = self.events("suspended")[-1]["step"]
        for rank in ranks:
            os.kill(rank, signal.SIGCONT)
        self.wait_for_step("suspended", job, suspended_after + self.STEPS_AFTER_SUSPENSION)
        job.send_signal(signal.SIGUSR1)
        errors = job.communicate(timeout=60)[1]
        self.assertEqual(job.returncode, 75, errors)


if __name__ == "__main__":
    harness.unittest.main()
