"""Training on a GPU: the curve of the CPU, checkpoints that go from one to the other, several ranks on one GPU. Skipped
where there is no GPU."""
import sys

import harness

SKIPPED = 77


class Gpu(harness.TrainingTest):
    STEPS = "schedule.total_steps=50"
    GPU = ("train.device=cuda", "train.threads=1")
    # Heads of 64 take the attention kernels that real models use.
    WIDE = ("model.hidden_size=128", "model.num_attention_heads=2", "model.num_key_value_heads=1",
            "model.intermediate_size=345", "model.rank=32")
    # As many heads of keys, and sequences of several squares of 64.
    WHOLE = (*WIDE, "model.num_key_value_heads=2", "model.max_position_embeddings=256", "data.sequence_length=200")

    def assert_close(self, expected, actual, tolerance):
        self.assertEqual(len(actual), len(expected))
        for step, (a, b) in enumerate(zip(actual, expected), start=1):
            self.assertLess(abs(a - b) / b, tolerance, f"step {step}: {a} instead of {b}")

    def train_on_cpu(self, run, *settings):
        done = self.call(self.command(run, None, *settings))
        if "need oneDNN" in done.stderr:
            self.skipTest("no oneDNN here, so no curve of the CPU")
        self.assertEqual(done.returncode, 0, done.stderr)

    def compare(self, name, tolerance, *settings):
        for_both = (setting for setting in settings if not setting.startswith("train.attention="))
        self.train_on_cpu(f"{name}_cpu", self.STEPS, *for_both)
        self.train(f"{name}_gpu", None, self.STEPS, *settings, *self.GPU)
        expected = self.losses(f"{name}_cpu")
        self.assertLess(expected[-1], 0.8 * expected[0])
        self.assert_close(expected, self.losses(f"{name}_gpu"), tolerance)

    def test_fp32_gives_the_curve_of_the_cpu(self):
        self.compare("fp32", 1e-3)

    def test_bf16_gives_the_curve_of_the_cpu(self):
        self.compare("bf16", 0.01, "train.precision=bf16")

    def test_every_attention_gives_the_curve_of_the_cpu(self):
        for attention, shape in (("auto", self.WIDE), ("flash", self.WIDE), ("cudnn", self.WIDE), ("whole_heads", self.WHOLE)):
            choice = ("train.precision=bf16", f"train.attention={attention}", *shape)
            done = self.train(f"short_{attention}", None, "schedule.total_steps=1", "schedule.warmup_steps=1", *choice,
                              *self.GPU, expect=None)
            if done.returncode == 2 and f"train.attention: {attention}" in done.stderr:
                continue  # this machine does not have it
            self.compare(attention, 0.01, *choice)

    def test_graphs_and_recomputation_change_little(self):
        for settings in (("train.cuda_graphs=off",), ("train.cuda_graphs=on",), ("train.recompute=cola_m",),
                         ("train.recompute=block",)):
            run = settings[0].replace("=", "_").replace(".", "_")
            self.train(run, None, self.STEPS, *settings, *self.GPU)
        reference = self.losses("train_cuda_graphs_off")
        for run in ("train_cuda_graphs_on", "train_recompute_cola_m", "train_recompute_block"):
            self.assert_close(reference, self.losses(run), 1e-5)

    def test_heads_that_a_gpu_cannot_compute_are_refused(self):
        done = self.train("wide_heads", None, *self.GPU, "model.hidden_size=640", "model.num_attention_heads=2",
                          "model.num_key_value_heads=2", expect=2)
        self.assertIn("model.num_attention_heads", done.stderr)

    def test_full_rank_learns(self):
        self.compare("full", 0.01, "train.precision=bf16", "model.projection=full")

    def test_a_run_is_repeatable_to_the_bit(self):
        for run in ("first", "second"):
            self.train(run, None, "train.precision=bf16", *self.GPU)
        self.assertEqual(self.losses("first"), self.losses("second"))
        self.assert_identical("first", "second")

    def test_checkpoints_go_from_cpu_to_gpu_and_back(self):
        self.train_on_cpu("mixed", "schedule.total_steps=50")
        expected = self.losses("mixed")
        for run, devices in (("there", ("cpu", "cuda")), ("back", ("cuda", "cpu"))):
            for steps, device in zip((20, 50), devices):
                # The schedule ends where it would without the change of device.
                stop = self.start_and_signal if steps == 20 else None
                if stop:
                    self.assertEqual(stop(run, 1, 20, harness.signal.SIGUSR1, "schedule.total_steps=50",
                                          f"train.device={device}"), 75)
                else:
                    self.train(run, None, "schedule.total_steps=50", f"train.device={device}")
            self.assert_close(expected, self.losses(run), 1e-3)

    def test_ranks_share_a_gpu_through_host_memory(self):
        self.train("alone", 1, self.STEPS, *self.GPU)
        expected = self.losses("alone")
        for ranks in (2, 3):
            for stage in (0, 1):
                run = f"shared_{ranks}_{stage}"
                self.train(run, ranks, self.STEPS, *self.GPU, "parallel.collectives=mpi", f"parallel.zero_stage={stage}")
                self.assert_close(expected, self.losses(run), 1e-4)

    def test_two_ranks_on_one_gpu_cannot_use_nccl(self):
        done = self.call(self.command("nccl", harness.gpu_count() + 1, *self.GPU, "parallel.collectives=nccl"), expect=2)
        self.assertIn("parallel.collectives", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()[0].splitlines()), 1)


if __name__ == "__main__":
    if harness.gpu_count() == 0:
        print("skipped: no GPU on this machine")
        sys.exit(SKIPPED)
    harness.unittest.main()
