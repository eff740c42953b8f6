"""A disk that answers one rank with EIO, call by call: failing_calls.cpp makes the system calls fail."""
import os
import re

import harness

LIBRARY = harness.PROGRAMS.parent / "lib/libfailing_calls.so"
EVERY = 3  # steps from one checkpoint to the next


def shard(step):
    return f"step-{step:08d}/shard-00001.h5.tmp"


def manifest(step):
    return f"step-{step:08d}/manifest.json.tmp"


# Rank, the rule for a step, and what is said of it. Data are written by the program itself, what describes them by HDF5.
WRITING = [
    (0, lambda step: "fsync:/checkpoints:2", r"/checkpoints: cannot flush the folder to disk"),  # of the second manifest
    (1, lambda step: f"open@libhdf5:{shard(step)}:1:0", r"shard-00001\.h5\.tmp: cannot create"),
    (1, lambda step: f"write@libhdf5:{shard(step)}", r"shard-00001\.h5\.tmp: cannot create"),
    (1, lambda step: f"write@libhdf5:{shard(step)}:2", r"shard-00001\.h5\.tmp: cannot close"),
    (1, lambda step: f"write@libhdf5:{shard(step)}:3:0", r"shard-00001\.h5\.tmp: cannot close"),
    (1, lambda step: f"truncate@libhdf5:{shard(step)}", r"shard-00001\.h5\.tmp: cannot close"),
    (1, lambda step: f"close@libhdf5:{shard(step)}", r"shard-00001\.h5\.tmp: cannot close"),
    (1, lambda step: f"open@cola_dist:{shard(step)}", r"shard-00001\.h5\.tmp: cannot open"),
    (1, lambda step: f"read@cola_dist:{shard(step)}", r"shard-00001\.h5\.tmp: cannot read"),
    (1, lambda step: f"write@cola_dist:{shard(step)}", r"shard-00001\.h5\.tmp: cannot write"),
    (1, lambda step: f"write@cola_dist:{shard(step)}:3", r"shard-00001\.h5\.tmp: cannot write"),
    (1, lambda step: f"fsync:{shard(step)}", r"shard-00001\.h5\.tmp: cannot flush to disk"),
    (1, lambda step: f"close@cola_dist:{shard(step)}", r"shard-00001\.h5\.tmp: cannot close"),
    (1, lambda step: f"rename:{shard(step)}", r"shard-00001\.h5: cannot rename the finished file to it"),
    (1, lambda step: f"fsync:/step-{step:08d}", r"step-\d+: cannot flush the folder to disk"),
    (0, lambda step: f"open:{manifest(step)}", r"manifest\.json\.tmp: cannot open"),
    (0, lambda step: f"write:{manifest(step)}", r"manifest\.json\.tmp: cannot write"),
    (0, lambda step: f"fsync:{manifest(step)}", r"manifest\.json\.tmp: cannot flush to disk"),
    (0, lambda step: f"close:{manifest(step)}", r"manifest\.json\.tmp: cannot close"),
    (0, lambda step: f"rename:{manifest(step)}", r"manifest\.json: cannot rename the finished file to it"),
    (0, lambda step: f"fsync:/step-{step:08d}:2", r"step-\d+: cannot flush the folder to disk"),  # after the shard's own
]


class IoError(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.steps = EVERY * (2 * len(WRITING) + 2)
        cls.settings = [f"schedule.total_steps={cls.steps}", f"checkpoint.every={EVERY}", "checkpoint.keep=1000",
                        "evaluation.every=0", "train.global_batch=6", "schedule.min_lr_ratio=1"]
        cls.train("healthy", 2, *cls.settings)

    def train_with(self, run, rules, *settings, expect=0, more=()):
        """Trains on two ranks; `rules` has those of each rank's system calls. Each of them must have struck."""
        commands = []
        logs = [self.directory / f"{run}.rank{rank}" for rank in range(2)]
        for rank in range(2):
            variables = [f"LD_PRELOAD={LIBRARY}", f"COLA_FAILING_CALLS={','.join(rules.get(rank, []))}",
                         f"COLA_FAILING_CALLS_LOG={logs[rank]}",
                         f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"]
            commands.append(["env", *(variables if rank in rules else []),
                             *self.command(run, None, *self.settings, *settings, more=more)])
        done = self.call(self.job_of(*commands), expect=expect)
        for rank, rank_rules in rules.items():
            struck = {int(line.split()[0]) for line in logs[rank].read_text().splitlines()} if logs[rank].exists() else set()
            self.assertEqual(struck, set(range(len(rank_rules))), f"rank {rank}: rules that met no call\n{done.stderr}")
            logs[rank].unlink()
        return done

    def folder(self, run, step):
        return self.directory / run / f"checkpoints/step-{step:08d}"

    def names(self, run):
        return sorted(path.name for path in (self.directory / run / "checkpoints").iterdir())

    def assert_as_healthy(self, run, step):
        """The checkpoint is whole, and what the run without a fault saved at this step."""
        self.call([self.PROGRAMS / "cola_ckpt", "verify", self.folder(run, step)], expect=0)
        self.assert_identical(f"healthy/checkpoints/step-{step:08d}", f"{run}/checkpoints/step-{step:08d}")

    def steps_of(self, run, kind):
        return [event["step"] for event in self.events(run, kind)]

    def test_each_failing_call_costs_one_checkpoint(self):
        """Every second checkpoint fails, each in another call."""
        rules, failing = {0: [], 1: []}, {}
        for number, (rank, rule, said) in enumerate(WRITING):
            step = EVERY * 2 * (number + 1)
            rules[rank].append(rule(step))
            failing[step] = rf"rank {rank}: \S*{said}: Input/output error"
        done = self.train_with("failing", rules)
        self.assertEqual(self.steps_of("failing", "checkpoint_failed"), list(failing))
        for event in self.events("failing", "checkpoint_failed"):
            self.assertRegex(event["message"], f"^{failing[event['step']]}$")
            self.assertIn(f"the checkpoint of step {event['step']} failed, training goes on: {event['message']}\n", done.stderr)
        good = [step for step in range(EVERY, self.steps + 1, EVERY) if step not in failing]
        self.assertEqual(self.steps_of("failing", "checkpoint"), good)
        self.assertEqual(self.names("failing"), [self.folder("failing", step).name for step in good])
        for step in good:
            self.assert_as_healthy("failing", step)
        self.assertEqual(self.losses("failing"), self.losses("healthy"))

    def test_calls_that_go_on_failing_end_the_run(self):
        for rank, name in ((1, shard), (0, manifest)):
            run, failing = f"hopeless{rank}", [2 * EVERY, 3 * EVERY, 4 * EVERY]
            done = self.train_with(run, {rank: [f"write@cola_dist:{name(step)}:1:0" for step in failing]},
                                   "checkpoint.max_failures=3", "checkpoint.keep=1", expect=1)
            self.assertRegex(done.stderr, rf"3 checkpoints in a row failed \(checkpoint.max_failures\), the last one at step "
                                          rf"{failing[-1]}: rank {rank}: \S+{name(failing[-1])}: cannot write: Input/output error")
            self.assertEqual(self.steps_of(run, "checkpoint_failed"), failing)
            self.assertEqual(self.names(run), [self.folder(run, EVERY).name])
            self.assert_as_healthy(run, EVERY)

    def test_what_cannot_be_removed_goes_with_the_next_checkpoint(self):
        """The remains of a failed checkpoint, and those of one that was retired: they must not fill the disk."""
        rules = {1: [f"write@cola_dist:{shard(2 * EVERY)}", f"remove:{shard(2 * EVERY)}"],
                 0: [f"remove:{shard(2 * EVERY)}", f"remove:/step-{EVERY:08d}/shard-00000.h5",
                     f"remove:/step-{3 * EVERY:08d}/manifest.json"]}
        done = self.train_with("left", rules, f"schedule.total_steps={6 * EVERY}", "checkpoint.keep=1")
        self.assertEqual(self.steps_of("left", "checkpoint_failed"), [2 * EVERY])
        self.assertEqual(self.names("left"), [self.folder("left", 6 * EVERY).name])
        self.assertEqual(done.stderr.count("cannot remove: Input/output error"), 3, done.stderr)
        self.assert_as_healthy("left", 6 * EVERY)

    def test_a_failing_local_disk_costs_one_checkpoint(self):
        local = self.directory / "nvme"
        failing = {2 * EVERY: (f"write@cola_dist:{shard(2 * EVERY)}", rf"{local}\S+: cannot write"),
                   4 * EVERY: (f"fsync:/step-{4 * EVERY:08d}/shard-00001.h5.json.tmp", rf"{local}\S+: cannot flush to disk"),
                   6 * EVERY: (f"read:/step-{6 * EVERY:08d}/shard-00001.h5", rf"{local}\S+: cannot read"),
                   8 * EVERY: (f"write:/checkpoints/{shard(8 * EVERY)}", r"\S+/staged/checkpoints/\S+: cannot write")}
        self.train_with("staged", {1: [rule for rule, _ in failing.values()]}, f"checkpoint.local_dir={local}",
                        f"schedule.total_steps={9 * EVERY}")
        self.assertEqual(self.steps_of("staged", "checkpoint_failed"), list(failing))
        for event in self.events("staged", "checkpoint_failed"):
            self.assertRegex(event["message"], f"^rank 1: {failing[event['step']][1]}: Input/output error$")
        self.assertEqual(self.steps_of("staged", "checkpoint"), [EVERY * number for number in (1, 3, 5, 7, 9)])
        for number in (1, 3, 5, 7, 9):
            self.assert_as_healthy("staged", EVERY * number)

    def test_a_local_disk_that_cannot_be_used_is_found_before_the_first_step(self):
        local = self.directory / "unusable"
        done = self.train_with("unstaged", {1: ["access@cola_dist::1:0"]}, f"checkpoint.local_dir={local}", expect=1)
        said = [line for line in done.stderr.splitlines() if line.startswith("cola_dist: ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertRegex(said[0], rf"rank 1 on [^ :]+: error: checkpoint.local_dir: {local}/\S+: cannot be written into: Input/output error")
        self.assertFalse((self.directory / "unstaged").exists())
        self.assertEqual(list(local.iterdir()), [])

    def saved(self, run):
        """A run of four checkpoints, to be gone on with."""
        self.train(run, 2, *self.settings, f"schedule.total_steps={4 * EVERY}")
        return self.folder(run, 4 * EVERY)

    def test_what_cannot_be_read_is_passed_over(self):
        for run, path in (("unread_shard", "shard-00001.h5"), ("unread_manifest", "manifest.json")):
            newest = self.saved(run)
            done = self.train_with(run, {1: [f"read:{newest.name}/{path}:1:0"]}, f"schedule.total_steps={5 * EVERY}")
            self.assertRegex(done.stderr, rf"{newest}/{path}: cannot read: Input/output error; falling back to the checkpoint "
                                          r"before it")
            self.assertIn(f"resumes from {self.folder(run, 3 * EVERY)}", done.stdout)
            self.assert_as_healthy(run, 5 * EVERY)
            kept = newest.with_name(f"abandoned-{newest.name}")  # the disk may have been in trouble, not the file
            self.call([self.PROGRAMS / "cola_ckpt", "verify", kept], expect=0)

    def test_where_none_can_be_read_the_run_is_refused_and_all_is_left_as_it_was(self):
        self.saved("none")
        before = self.names("none")
        done = self.train_with("none", {1: ["read:/shard-00001.h5:1:0"]}, expect=2)
        for step in range(EVERY, 5 * EVERY, EVERY):
            self.assertIn(f"{self.folder('none', step)}/shard-00001.h5: cannot read: Input/output error", done.stderr)
        self.assertIn("none of its checkpoints is intact", done.stderr)
        self.assertEqual(self.names("none"), before)

    def test_a_chosen_checkpoint_that_cannot_be_read_is_refused(self):
        newest = self.saved("chosen")
        done = self.train_with("chosen", {1: [f"read:{newest.name}/shard-00001.h5:1:0"]}, expect=2,
                               more=["--resume", str(newest)])
        self.assertIn(f"{newest}/shard-00001.h5: cannot read: Input/output error", done.stderr)
        self.assertEqual(len(self.checkpoints("chosen")), 4)

    def test_a_disk_that_fails_after_verification_ends_the_job_and_costs_nothing(self):
        newest = self.saved("late")
        done = self.train_with("late", {1: [f"read@libhdf5:{newest.name}/shard-00001.h5:1:0"]}, expect=1)
        self.assertTrue(re.search(rf"rank 1 on \S+: error: {newest}/shard-00001.h5: cannot [a-z 5HDF]+: Input/output error",
                                  done.stderr), done.stderr)
        self.train("late", 2, *self.settings, f"schedule.total_steps={5 * EVERY}")
        self.assert_as_healthy("late", 5 * EVERY)


if __name__ == "__main__":
    harness.unittest.main()
