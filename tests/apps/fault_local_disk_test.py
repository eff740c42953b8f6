"""A node's own disk (checkpoint.local_dir) that is small, and a shared one without room for what is staged there."""
import os
import shutil
import subprocess

import harness


class LocalDisk(harness.TrainingTest):
    """Small file systems in memory; making one needs the rights of root."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("plain", 2)
        cls.shard_bytes = (cls.directory / "plain/checkpoints/step-00000040/shard-00000.h5").stat().st_size

    def mount(self, name, size):
        disk = self.directory / name
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True).returncode != 0:
            self.skipTest("mounting a file system needs the rights of root")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], capture_output=True)
        return disk

    def test_room_for_one_set_of_shards_is_enough_for_every_start(self):
        disk = self.mount("one_set", 2 * self.shard_bytes + 400_000)  # a shard may take 128 KiB more
        self.train("one_set_run", 2, "schedule.total_steps=20", f"checkpoint.local_dir={disk}")
        self.train("one_set_run", 2, f"checkpoint.local_dir={disk}")
        self.assertEqual(self.events("one_set_run", "checkpoint_failed"), [])
        self.assertEqual(self.checkpoints("one_set_run")[-1], "step-00000040")

    def test_room_is_counted_for_all_ranks_of_a_node(self):
        disk = self.mount("one_shard", self.shard_bytes * 3 // 2)
        done = self.train("one_shard_run", 2, f"checkpoint.local_dir={disk}", expect=2)
        said = [line for line in done.stderr.splitlines() if line.startswith("cola_dist: ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertRegex(said[0], rf"rank 0 on [^ :]+: error: checkpoint.local_dir: {disk}, for 2 shards: No space left on device: "
                                  r"\d+ bytes are free, \d+ are needed")
        self.train("one_shard_run", 1, "parallel.zero_stage=0", f"checkpoint.local_dir={self.directory}/roomy")

    def test_what_cannot_be_drained_stays_until_there_is_room(self):
        shared, local = self.mount("shared", 16 * self.shard_bytes), self.directory / "local"
        (self.directory / "drained").symlink_to(shared)
        self.train("drained", 2, "schedule.total_steps=20", f"checkpoint.local_dir={local}")
        # As if the run had ended before it was drained.
        shutil.move(shared / "checkpoints/step-00000020", self.directory / "wanted")
        words = self.command("drained", 2, f"checkpoint.local_dir={local}", "checkpoint.keep=10")
        free = os.statvfs(shared).f_bavail * os.statvfs(shared).f_frsize
        ballast = shared / "ballast"
        ballast.write_bytes(b"x" * (free - self.shard_bytes * 3 // 2))
        for _ in range(2):
            done = self.call(words, expect=2)
            self.assertEqual(done.stderr.count("error: "), 1, done.stderr)
            self.assertRegex(done.stderr, r"rank \d on \S+: error: step-00000020 lies whole in checkpoint.local_dir, but cannot be "
                                          r"drained to \S+ \(\S+: (cannot write: )?No space left on device")
            self.assertEqual(len(list(local.glob("*/*/step-00000020/*.h5"))), 2)
        ballast.unlink()
        done = self.call(words, expect=0)
        self.assertIn("drained step-00000020 from checkpoint.local_dir", done.stdout)
        self.assert_identical("wanted", "drained/checkpoints/step-00000020")


if __name__ == "__main__":
    harness.unittest.main()
