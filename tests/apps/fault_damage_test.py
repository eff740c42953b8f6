"""Flipped bits and cut files, at random places of every file: each is found and named, and a run falls back."""
import random
import shutil

import harness


class Damage(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("run", 2, "schedule.total_steps=20")
        cls.newest = cls.directory / "run/checkpoints/step-00000020"
        cls.numbers = random.Random()

    def damage(self, path):
        """Flips a bit or cuts the file, somewhere; returns how, and what heals it."""
        whole = path.read_bytes()
        place = self.numbers.randrange(len(whole))
        if self.numbers.random() < 0.5:
            changed, what = bytearray(whole), f"bit flipped in byte {place}"
            changed[place] ^= 1 << self.numbers.randrange(8)
        else:
            changed, what = whole[:place], f"cut to {place} bytes"
        path.write_bytes(changed)
        return f"{path.name}: {what}", lambda: path.write_bytes(whole)

    def test_100_places(self):
        files = sorted(path for path in self.newest.iterdir())
        self.assertEqual(len(files), 3)
        for _ in range(100):
            path = self.numbers.choice(files)
            what, heal = self.damage(path)
            done = self.call([self.PROGRAMS / "cola_ckpt", "verify", self.newest], expect=None)
            self.assertEqual(done.returncode, 1, what)
            self.assertIn(path.name, done.stderr, what)
            heal()
        self.call([self.PROGRAMS / "cola_ckpt", "verify", self.newest], expect=0)

    def test_a_run_falls_back_and_says_so(self):
        for number in range(6):
            run = f"damaged{number}"
            shutil.copytree(self.directory / "run", self.directory / run)
            path = self.numbers.choice(sorted((self.directory / run / "checkpoints/step-00000020").iterdir()))
            what, _ = self.damage(path)
            done = self.train(run, 2, "schedule.total_steps=20")
            self.assertIn(f"step-00000020/{path.name}", done.stderr, what)
            self.assertIn("falling back", done.stderr, what)
            self.assertRegex(done.stdout, r"resumes from \S+step-00000010", what)
            self.assert_identical("run", run)

    def test_a_missing_shard_counts_as_damage(self):
        shutil.copytree(self.directory / "run", self.directory / "missing")
        (self.directory / "missing/checkpoints/step-00000020/shard-00001.h5").unlink()
        done = self.train("missing", 2, "schedule.total_steps=20")
        self.assertIn("shard-00001.h5", done.stderr)
        self.assert_identical("run", "missing")


if __name__ == "__main__":
    harness.unittest.main()
