"""The same run on 1, 2, 3 and 4 ranks: the same losses, with and without sharding, whatever divides evenly."""
import os
import unittest.mock

import harness


class Ranks(harness.TrainingTest):
    STEPS = "schedule.total_steps=50"

    def assert_same_curve(self, expected, actual):
        self.assertEqual(len(actual), len(expected))
        for step, (a, b) in enumerate(zip(actual, expected), start=1):
            self.assertLess(abs(a - b) / b, 1e-4, f"step {step}: {a} instead of {b}")

    def test_losses_agree_on_any_number_of_ranks(self):
        self.train("one", 1, self.STEPS)
        expected = self.losses("one")
        self.assertEqual(len(expected), 50)
        self.assertLess(expected[-1], 0.75 * expected[0])
        for ranks in (2, 3, 4):
            self.train(f"ranks{ranks}", ranks, self.STEPS)
            self.assert_same_curve(expected, self.losses(f"ranks{ranks}"))
        self.train("five", 5, self.STEPS)  # 12 sequences over 5 ranks: some have 2, some 3
        self.assert_same_curve(expected, self.losses("five"))
        self.train("unsharded", 3, self.STEPS, "parallel.zero_stage=0")
        self.assert_same_curve(expected, self.losses("unsharded"))
        for stage in (2, 3):
            for ranks in (3, 5):
                self.train(f"stage{stage}_{ranks}", ranks, self.STEPS, f"parallel.zero_stage={stage}")
                self.assert_same_curve(expected, self.losses(f"stage{stage}_{ranks}"))
        self.train("no_launcher", None, self.STEPS)
        self.assert_same_curve(expected, self.losses("no_launcher"))

    def test_the_start_report_names_versions_and_launcher(self):
        report = self.train("report", 2, "schedule.total_steps=5").stdout
        self.assertRegex(report, r"cola_dist \d\S*, MPI \(.+\), HDF5 \d+\.\d+\.\d+, started by ")

    def test_the_start_report_shows_memory_data_and_what_is_resumed(self):
        settings = ["schedule.total_steps=5", "checkpoint.every=0"]
        report = self.train("shown", 2, *settings).stdout
        self.assertRegex(report, r"Device memory a rank\n  weights \(fp32\) +\S+ \S+\n")
        self.assertRegex(report, r"data: \S+( \S)? ?tokens in 1 file, (\d+) sequences of 32; 5 steps are 0\.\d+ epochs\n")
        self.assertRegex(report, r"validation: .+ tokens in 1 file\n")
        self.assertIn("starts at step 0 of 5\n", report)
        again = self.train("shown", 2, *settings, "schedule.total_steps=6").stdout
        self.assertRegex(again, r"resumes from \S+step-00000005, step 5 of 6\n")

    def test_the_start_report_shows_what_the_user_says_of_the_network(self):
        with unittest.mock.patch.dict(os.environ, UCX_NET_DEVICES="all", NCCL_SOCKET_IFNAME="lo"):
            report = self.train("network", 2, "schedule.total_steps=5").stdout
        self.assertEqual(report.count(", UCX_NET_DEVICES=all\n"), 2, report)
        self.assertIn("network: NCCL_SOCKET_IFNAME=lo\n", report)

    def test_each_rank_has_a_network_card_of_its_own(self):
        """On a host as hwloc's XML describes it: eight cores, two InfiniBand cards near all of them."""
        sets = " ".join(f'{name}="0x000000ff"' for name in ("cpuset", "complete_cpuset", "allowed_cpuset"))
        sets += " " + " ".join(f'{name}="0x00000001"' for name in ("nodeset", "complete_nodeset", "allowed_nodeset"))
        cores = "".join(f'<object type="PU" os_index="{core}" {sets.replace("ff", f"{1 << core:02x}")}/>' for core in range(8))
        cards = "".join(
            f'<object type="PCIDev" pci_busid="0000:{16 + card}:00.0" pci_type="0207 [15b3:101b] [15b3:0007] 00"'
            f' pci_link_speed="0"><object type="OSDev" name="mlx5_{card}" osdev_type="3"><info name="Port1State" value="4"/>'
            f'<info name="Port1LID" value="0x{7 + card}"/><info name="Port1GID0" value="fe80:0000:0000:0000:0:0:0:{card}"/>'
            f'</object></object>' for card in range(2))
        host = self.directory / "host.xml"
        host.write_text(
            '<?xml version="1.0"?><!DOCTYPE topology SYSTEM "hwloc2.dtd"><topology version="2.0">'
            f'<object type="Machine" os_index="0" {sets}><object type="NUMANode" os_index="0" {sets} local_memory="1024"/>'
            f'{cores}<object type="Bridge" bridge_type="0-1" depth="0" bridge_pci="0000:[00-ff]">{cards}</object>'
            '</object></topology>')

        def report(run, *settings, more=()):
            words = self.command(run, 2, "schedule.total_steps=5", *settings)
            options = ["--bind-to", "core", "-x", f"HWLOC_XMLFILE={host}", *more]  # bound, also where ranks may share cores
            return self.call(words[:1] + options + words[1:], expect=0).stdout

        self.assertRegex(report("bound"), r"  rank 0 on .+, UCX_NET_DEVICES=mlx5_0:1\n  rank 1 on .+, UCX_NET_DEVICES=mlx5_1:1\n")
        self.assertRegex(report("off", "parallel.bind_network=false"), r"  rank 0 on .+, network card mlx5_0\n")
        self.assertEqual(report("own", more=("-x", "UCX_NET_DEVICES=all")).count(", UCX_NET_DEVICES=all\n"), 2)

    def test_nodes_that_lie_idle_are_named_with_the_cure(self):
        with unittest.mock.patch.dict(os.environ, SLURM_JOB_NUM_NODES="2"):
            done = self.train("idle", 2, "schedule.total_steps=5")
        self.assertIn("Slurm gave the job 2 nodes but MPI's ranks run on 1: start it with srun", done.stderr)

    def test_a_run_is_repeatable_to_the_bit(self):
        for run in ("first", "second"):
            self.train(run, 3)
        self.assertEqual(self.losses("first"), self.losses("second"))
        self.assert_identical("first", "second")

    def test_stages_differ_in_no_bit(self):
        """One micro-batch a step: sums are formed in the same order. Evaluation's samples do not divide evenly."""
        settings = ["train.micro_batch=4", "evaluation.tokens=480", "schedule.total_steps=20"]
        for stage in (1, 2, 3):
            self.train(f"stage{stage}", 3, f"parallel.zero_stage={stage}", *settings)
        for stage in (2, 3):
            self.assert_identical("stage1", f"stage{stage}")
            self.assertEqual(self.losses(f"stage{stage}"), self.losses("stage1"))

    def test_a_checkpoint_goes_on_in_another_stage(self):
        settings = ["train.micro_batch=4", "schedule.total_steps=16"]
        for first, second in ((1, 3), (3, 2)):
            run = f"stage{first}_then_{second}"
            self.train(run, 3, f"parallel.zero_stage={first}", *settings)
            self.train(run, 3, f"parallel.zero_stage={second}", *settings, "schedule.total_steps=20")
        self.assert_identical("stage1_then_3", "stage3_then_2")

    def test_recomputation_changes_no_bit(self):
        for recompute in ("none", "cola_m", "block"):
            self.train(recompute, 2, f"train.recompute={recompute}")
        self.assert_identical("none", "cola_m")
        self.assert_identical("none", "block")

    def test_bf16_and_full_rank_learn(self):
        self.train("bf16", 2, "train.precision=bf16")
        self.train("full", 2, "model.projection=full")
        for run in ("bf16", "full"):
            losses = self.losses(run)
            self.assertLess(losses[-1], 0.75 * losses[0])
            self.assertEqual([entry["step"] for entry in self.events(run, "evaluation")], [20, 40])


if __name__ == "__main__":
    harness.unittest.main()
