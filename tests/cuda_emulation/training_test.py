"""Whole training programs on the emulated GPU: a few steps, since it is slow. tests/apps/training_gpu_test.py asks more of
a real one.

training_test.py FOLDER_OF_PROGRAMS"""
import os
import pathlib
import subprocess
import sys
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "apps"))
import harness
import training_stuck_test

os.environ["COLA_EMULATED_GPUS"] = "3"
SHORT = ("schedule.total_steps=4", "schedule.warmup_steps=1", "train.global_batch=6", "evaluation.tokens=128")
GPU = ("train.device=cuda", "train.threads=1")
# Heads of 64 and bf16 take the tensor cores' attention.
WIDE = ("model.hidden_size=128", "model.num_attention_heads=2", "model.num_key_value_heads=1", "train.precision=bf16")
FLASH = "train.attention=flash"
# As many heads of keys, and sequences of two squares of 64, the second not full.
WHOLE = (*WIDE, "model.num_key_value_heads=2", "model.max_position_embeddings=128", "data.sequence_length=100",
         "model.num_hidden_layers=1")


class EmulatedGpu(harness.TrainingTest):
    def losses_of(self, name, *settings, ranks=None):
        self.train(name, ranks, *SHORT, *settings)
        return self.losses(name) + [entry["loss"] for entry in self.events(name, "evaluation")]

    def assert_close(self, expected, actual, tolerance):
        self.assertEqual(len(actual), len(expected))
        for a, b in zip(actual, expected):
            self.assertLess(abs(a - b) / b, tolerance, f"{actual} instead of {expected}")

    def test_fp32_gives_the_curve_of_the_cpu(self):
        expected = self.losses_of("fp32_cpu")
        self.assert_close(expected, self.losses_of("fp32_gpu", *GPU), 1e-4)
        self.assertLess(expected[3], expected[0])

    def test_bf16_with_flash_attention_gives_the_curve_of_the_cpu(self):
        expected = self.losses_of("wide_cpu", *WIDE)
        self.assert_close(expected, self.losses_of("wide_gpu", *WIDE, FLASH, *GPU), 0.01)

    def test_whole_heads_give_the_curve_of_the_cpu(self):
        expected = self.losses_of("whole_heads_cpu", *WHOLE)
        self.assert_close(expected, self.losses_of("whole_heads_gpu", *WHOLE, "train.attention=whole_heads", *GPU), 0.01)

    def test_graphs_leave_every_bit(self):
        for graphs in ("on", "off"):
            self.losses_of(f"graphs_{graphs}", f"train.cuda_graphs={graphs}", *GPU)
        self.assert_identical("graphs_on", "graphs_off")

    def test_recomputation_changes_little(self):
        expected = self.losses_of("kept", *GPU)
        for recompute in ("cola_m", "block"):
            self.assert_close(expected, self.losses_of(recompute, f"train.recompute={recompute}", *GPU), 1e-5)

    def test_ranks_share_a_gpu_through_host_memory(self):
        expected = self.losses_of("alone", *GPU)
        for stage in (0, 1):
            shared = self.losses_of(f"shared_{stage}", "parallel.collectives=mpi", f"parallel.zero_stage={stage}", *GPU, ranks=2)
            self.assert_close(expected, shared, 1e-4)

    def test_nccl_and_host_memory_give_the_same_bits(self):
        # Two addends have one sum, in whatever order.
        for stage in range(4):
            for route in ("nccl", "mpi"):
                self.losses_of(f"{route}{stage}", f"parallel.collectives={route}", f"parallel.zero_stage={stage}", *GPU, ranks=2)
            self.assert_identical(f"nccl{stage}", f"mpi{stage}")

    def test_products_beside_a_collective_give_the_same_bits(self):
        # They are cut into more blocks there, which only NCCL asks for.
        wide = ("train.micro_batch=2", "model.num_hidden_layers=1", "schedule.total_steps=2", *WIDE, FLASH, *GPU)
        for route in ("nccl", "mpi"):
            self.losses_of(f"beside_{route}", f"parallel.collectives={route}", *wide, ranks=2)
        self.assert_identical("beside_nccl", "beside_mpi")

    def test_a_resumed_run_is_the_same_to_the_bit(self):
        self.losses_of("whole", "checkpoint.every=2", *GPU)
        self.losses_of("parts", "checkpoint.every=2", *GPU)
        parts = self.directory / "parts" / "checkpoints"
        harness.shutil.rmtree(parts / "step-00000004")
        self.train("parts", None, *SHORT, "checkpoint.every=2", *GPU, more=("--resume", "auto"))
        self.assert_identical("whole", "parts")

    def test_text_is_generated(self):
        self.train("text", None, *SHORT)
        done = self.call([self.PROGRAMS / "cola_generate", "--checkpoint", self.directory / "text", "--bytes", "--prompt",
                          "the sea ", "--tokens", "3", "--temperature", "0"], expect=0)
        self.assertIn("tokens after a prompt of 8", done.stderr)
        self.assertTrue(done.stdout.startswith("the sea "), done.stdout)

    def contexts_of(self, name, *settings, ranks):
        """What GPUs the processes of a run take memory on, one entry for each process and GPU."""
        done = self.train(name, ranks, *SHORT, "checkpoint.every=2", *settings)
        return sorted(line for line in done.stderr.splitlines() if "a context on GPU" in line)

    def test_a_rank_touches_its_own_gpu_alone(self):
        environment = unittest.mock.patch.dict(os.environ, COLA_EMULATED_GPUS="2", COLA_EMULATION_CONTEXTS="1")
        self.enterContext(environment)
        both = [f"emulated GPU: a context on GPU {gpu}" for gpu in (0, 1)]
        for route in ("mpi", "nccl"):
            found = self.contexts_of(f"contexts_{route}", f"parallel.collectives={route}", *GPU, ranks=2)
            self.assertEqual(found, both, route)
        self.assertEqual(self.contexts_of("contexts_cpu", ranks=2), [])

    def test_the_start_report_shows_libraries_and_links(self):
        report = self.train("report", 2, *SHORT, *GPU).stdout
        self.assertRegex(report, r"CUDA \d+\.\d+ \(driver for \d+\.\d+\), cuBLAS \d+\.\d+\.\d+, (no )?NCCL")
        self.assertIn("  GPUs 0-2: NVLink between 0-1; PCIe between the others\n", report)
        self.assertRegex(report, r"  rank 1 on emulated GPU \(GPU 1\), .+ at 0000:66:00\.0, cores ")
        self.assertRegex(report, r"  fits the device's memory +\S+ [GM]iB\n")

    def test_ranks_on_one_gpu_are_named_with_the_cure(self):
        self.enterContext(unittest.mock.patch.dict(os.environ, COLA_EMULATED_GPUS="1"))
        done = self.train("one_gpu", 2, *SHORT, *GPU)
        self.assertRegex(done.stderr, r"ranks 0 and 1 share GPU 0000:65:00\.0 on \S+: start one rank a GPU")
        refused = self.train("one_gpu_nccl", 2, *SHORT, "parallel.collectives=nccl", *GPU, expect=2)
        self.assertRegex(refused.stderr, r"share GPU 0000:65:00\.0 on .+start as many ranks a node as it has GPUs")

    def refused_for_a_node(self, *commands):
        done = self.call(self.job_of(*commands), expect=1)
        said = [line for line in done.stderr.splitlines() if "error: " in line]
        self.assertEqual(len(said), 1, done.stderr)
        return said[0]

    def test_a_node_that_lacks_a_gpu_is_named(self):
        elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname n2 && exec "$@"', "elsewhere"]
        if subprocess.run([*elsewhere, "true"], capture_output=True).returncode != 0:
            self.skipTest("a hostname of its own needs the rights of root")
        words = self.command("gone", None, *SHORT, *GPU)
        one = ["env", "COLA_EMULATED_GPUS=1"]
        self.assertRegex(self.refused_for_a_node([*one, *words], [*elsewhere, *one, *words], [*elsewhere, *one, *words]),
                         r"ranks 1 and 2 share GPU 0000:65:00\.0 on n2, where other hosts .+--exclude=n2")
        words = self.command("gone", None, *SHORT, *GPU, "train.device=auto")
        self.assertRegex(self.refused_for_a_node(words, [*elsewhere, "env", "COLA_EMULATED_GPUS=0", *words]),
                         r"train.device leads to: cuda on rank 0 \(.+\), but cpu on rank 1 \(n2\).+--exclude=n2")
        words = self.command("gone", None, *SHORT, *GPU)
        self.assertRegex(self.refused_for_a_node(words, [*elsewhere, "env", "COLA_EMULATED_GPUS=0", *words]),
                         r"rank 1 on n2: error: train.device: ")

    def test_heads_that_a_gpu_cannot_compute_are_refused(self):
        settings = ("model.hidden_size=640", "model.num_attention_heads=2", "model.num_key_value_heads=2")
        done = self.train("wide_heads", None, *SHORT, *settings, *GPU, expect=2)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn("model.num_attention_heads: 2 heads of a hidden_size of 640 are 320 wide", done.stderr)
        self.assertEqual(self.checkpoints("wide_heads"), [])


class StuckInNccl(training_stuck_test.Stuck):
    """Ranks that die or stop while the others' GPUs wait for them."""
    SETTINGS = ("parallel.collectives=nccl", "train.global_batch=6", *GPU)
    STEPS_AFTER_SUSPENSION = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.enterClassContext(unittest.mock.patch.dict(os.environ, TMPDIR=str(cls.directory)))  # what the killed leave


if __name__ == "__main__":
    unittest.main()
