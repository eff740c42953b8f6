"""A disk that fails one rank or all costs the checkpoint in hand and nothing else; one that goes on failing ends the run."""
import errno
import os
import shutil
import signal
import subprocess
import time

import harness

LONG = ["schedule.total_steps=100000", "checkpoint.every=20", "evaluation.every=0"]


class Disk(harness.TrainingTest):
    """Small file systems, here in memory; making one needs the rights of root."""

    def setUp(self):
        self.disk = self.directory / "disk"
        self.disk.mkdir(exist_ok=True)
        if not self.mount():
            self.skipTest("mounting a file system needs the rights of root")

    def mount(self):
        return self.succeeds("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", self.disk)

    def succeeds(self, *words):
        return subprocess.run(words, capture_output=True).returncode == 0

    def tearDown(self):
        subprocess.run(["umount", "-l", self.disk], capture_output=True)

    def start(self, run, *settings):
        (self.disk / "run").mkdir()
        (self.directory / run).symlink_to(self.disk / "run")
        return subprocess.Popen(self.command(run, 2, *LONG, *settings), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True)

    def count(self, run, kind):
        path = self.directory / run / "metrics.jsonl"
        return len(self.events(run, kind)) if path.exists() else 0

    def wait_for(self, run, kind, number, process):
        deadline = time.monotonic() + 60
        while self.count(run, kind) < number:
            self.assertIsNone(process.poll(), "the run ended")
            self.assertLess(time.monotonic(), deadline, f"no {number} {kind} events")
            time.sleep(0.01)

    def fill(self, left=0):
        """Takes all room but some bytes."""
        ballast = self.disk / "ballast"
        free = os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize
        try:
            ballast.write_bytes(b"x" * max(free - left, 0))
        except OSError as error:  # the run took room meanwhile
            if error.errno != errno.ENOSPC:
                raise
            os.truncate(ballast, max(ballast.stat().st_size - left, 0))
        return ballast

    def stop(self, process):
        process.send_signal(signal.SIGUSR1)
        return self.end_of(process, 75)

    def end_of(self, process, code):
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, code, said)
        return said

    def test_a_disk_without_room_for_all_checkpoints_is_told_at_the_start(self):
        (self.disk / "run").mkdir()
        (self.directory / "narrow").symlink_to(self.disk / "run")
        settings = ["schedule.total_steps=6", "checkpoint.every=1", "checkpoint.keep=2"]
        self.assertNotIn("has room for", self.train("narrow", 1, *settings).stderr)
        self.fill(left=3 << 20)  # a checkpoint takes 1.1 MiB
        done = self.train("narrow", 1, *settings, "schedule.total_steps=9", "checkpoint.keep=6", expect=1)  # it comes true
        self.assertRegex(done.stderr, r"narrow/checkpoints: has room for 2 more checkpoints of [0-9.]+ MiB, and at the end of the run "
                                      r"7 lie there \(checkpoint.keep, .*\): keep fewer, or free [0-9.]+ [KM]iB")

    def verify_newest(self, run):
        newest = self.checkpoints(run)[-1]
        self.call([self.PROGRAMS / "cola_ckpt", "verify", self.directory / run / "checkpoints" / newest], expect=0)

    def test_a_full_disk_is_survived_and_the_next_interval_tried(self):
        process = self.start("full", "checkpoint.max_failures=100000", "checkpoint.keep=2")
        self.wait_for("full", "checkpoint", 2, process)
        ballast = self.fill(left=200_000)
        self.wait_for("full", "checkpoint_failed", 1, process)
        time.sleep(1.0)  # by now the log has taken the rest
        self.assertTrue(self.checkpoints("full"), "the earlier checkpoint is gone")
        self.verify_newest("full")
        ballast.unlink()
        saved = self.count("full", "checkpoint")
        self.wait_for("full", "checkpoint", saved + 2, process)
        said = self.stop(process)
        self.assertIn("No space left on device", said)
        self.assertIn("training goes on", said)
        event = self.events("full", "checkpoint_failed")[-1]
        self.assertRegex(event["message"], r"rank \d: .*shard-0000\d.h5.*No space left")
        self.verify_newest("full")
        self.assertEqual(len(self.checkpoints("full")), 2)

    def test_a_finished_run_needs_no_room(self):
        (self.disk / "run").mkdir()
        (self.directory / "done").symlink_to(self.disk / "run")
        self.train("done", 2)
        self.fill(left=100_000)
        self.assertIn("nothing is left to do", self.train("done", 2).stdout)
        said = self.train("done", 2, "schedule.total_steps=80", expect=2).stderr
        self.assertIn("for a single checkpoint", said)

    def test_failures_in_a_row_end_the_run(self):
        process = self.start("hopeless", "checkpoint.max_failures=3")
        self.wait_for("hopeless", "checkpoint", 1, process)
        self.fill(left=200_000)
        self.assertIn("3 checkpoints in a row failed (checkpoint.max_failures)", self.end_of(process, 1))
        self.assertEqual(self.count("hopeless", "checkpoint_failed"), 3)
        self.verify_newest("hopeless")

    def test_a_stop_without_room_says_so_once(self):
        process = self.start("stopped", "checkpoint.every=1000")
        self.wait_for("stopped", "step", 5, process)
        self.fill()
        process.send_signal(signal.SIGUSR1)
        said = self.end_of(process, 1)
        self.assertEqual(said.count("the last of this job, failed"), 1, said)
        self.assertNotIn("training goes on", said)

    def test_a_read_only_checkpoint_folder_is_survived(self):
        """The run's folder stays writable, so that the metrics can tell; the checkpoints lie on a file system that turns."""
        run = self.directory / "turned"
        run.mkdir()
        (run / "checkpoints").symlink_to(self.disk)
        process = subprocess.Popen(self.command("turned", 2, *LONG, "checkpoint.max_failures=100000", "checkpoint.keep=1"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.wait_for("turned", "checkpoint", 2, process)
        for option, event in (("ro", "checkpoint_failed"), ("rw", "checkpoint")):
            deadline = time.monotonic() + 30
            while subprocess.run(["mount", "-o", f"remount,{option}", self.disk], capture_output=True).returncode != 0:
                self.assertLess(time.monotonic(), deadline)  # busy while a file is being written
            self.wait_for("turned", event, self.count("turned", event) + 2, process)
        self.assertIn("Read-only file system", self.stop(process))
        self.verify_newest("turned")

    def test_no_room_for_a_single_checkpoint_is_said_before_the_first_step(self):
        self.fill(left=300_000)
        process = self.start("small")
        self.assertRegex(self.end_of(process, 2), r"No space left on device: \d+ bytes are free, \d+ are needed")
        self.assertEqual(self.count("small", "step"), 0)


@harness.unittest.skipUnless(shutil.which("mkfs.ext4"), "needs mkfs.ext4")
class BlockDevice(Disk):
    """The same on a file system with a disk below it, where shards are written past the system's cache."""

    def mount(self):
        image = self.directory / "image"
        image.unlink(missing_ok=True)
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        return self.succeeds("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image) and \
            self.succeeds("mount", "-o", "loop", image, self.disk)


class FileSizeLimit(harness.TrainingTest):
    def test_a_limit_on_one_rank_fails_its_checkpoints_only(self):
        limited = ["prlimit", "--fsize=100000"]
        program = self.command("limited", None, "checkpoint.max_failures=2", "checkpoint.every=10")
        done = self.call(self.job_of(program, limited + program), expect=1)
        self.assertRegex(done.stderr, r"step 10 failed, training goes on: rank 1: .*shard-00001.h5.*File too large")
        self.assertIn("2 checkpoints in a row failed", done.stderr)
        self.assertEqual(self.checkpoints("limited"), [])
        self.assertEqual([entry["step"] for entry in self.events("limited", "checkpoint_failed")], [10, 20])


if __name__ == "__main__":
    harness.unittest.main()
