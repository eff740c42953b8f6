"""A run stops in good order before its last step, and tells how it stands."""
import os
import pathlib
import signal
import subprocess
import time

import harness

LONG_EVALUATION = ("data.validation=[DATA/train-*.h5]", "evaluation.tokens=1000000")


class Stop(harness.TrainingTest):
    def settings(self, words):
        return [word.replace("DATA", str(self.directory / "data")) for word in words]

    def status(self, run, expect=0):
        """As on a login node: without a launcher, and where MPI's programs are not found."""
        done = self.call(["env", "-i", "PATH=/nowhere", harness.PROGRAMS / "cola_dist", "--status", self.directory / run],
                         expect=expect)
        return done.stdout + done.stderr

    def test_a_signal_before_the_first_step(self):
        for _ in range(2):  # what is resumed is saved already
            run = subprocess.Popen(self.command("early", None), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            maps = pathlib.Path(f"/proc/{run.pid}/maps")
            while "mca_" not in maps.read_text():  # MPI loads its parts
                self.assertIsNone(run.poll())
            run.send_signal(signal.SIGUSR1)
            said, errors = run.communicate(timeout=120)
            self.assertEqual(run.returncode, 75, errors)
            self.assertIn("stopped by SIGUSR1 after step 1, saved", said)
            self.assertEqual(self.checkpoints("early"), ["step-00000001"])
            self.assertEqual(len(self.events("early")), 1)

    def stops_with(self, run, number, after_start=lambda process: None):
        """Signals a run that would go on for long, once it trains; what it said until then is not read on."""
        endless = ("schedule.total_steps=1000000", "evaluation.every=0", "checkpoint.every=0")
        process = subprocess.Popen(self.command(run, None, *endless), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        while "step " not in (line := process.stdout.readline()):
            self.assertTrue(line, "the run ended early")
        after_start(process)
        process.send_signal(number)
        return process

    def test_a_terminal_that_is_closed(self):
        process = self.stops_with("closed", signal.SIGHUP)
        said = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 75)
        self.assertIn("SIGHUP: stopping at the end of this step", said)

    def test_an_output_that_nobody_reads_any_more(self):
        process = self.stops_with("unread", signal.SIGINT, lambda process: process.stdout.close())
        self.assertEqual(process.wait(timeout=60), 75, process.stderr.read())
        process.stderr.close()
        self.assertEqual(len(self.checkpoints("unread")), 1)

    def test_a_signal_during_an_evaluation(self):
        settings = self.settings(LONG_EVALUATION)
        self.train("evaluated", 2, *settings)
        self.assertEqual(self.start_and_signal("cut", 2, 20, signal.SIGUSR1, *settings), 75)
        self.assertEqual(self.checkpoints("cut")[-1], "step-00000020")
        self.assertEqual(self.events("cut", "evaluation"), [])
        self.train("cut", 2, *settings)
        self.assert_identical("evaluated", "cut")
        self.assertEqual(self.events("evaluated", "evaluation"), self.events("cut", "evaluation"))

    def test_a_signal_during_the_last_evaluation(self):
        settings = self.settings(LONG_EVALUATION) + ["evaluation.every=0"]
        self.assertEqual(self.start_and_signal("last", 2, 40, signal.SIGUSR2, *settings), 75)
        self.assertEqual(self.checkpoints("last")[-1], "step-00000040")
        # Once more, with a signal that comes before the evaluation: it is put off once, and said so once.
        again = subprocess.Popen(self.command("last", 2, *settings), stdout=subprocess.PIPE, text=True)
        told = ""
        while "resumes from" not in told:
            told += again.stdout.readline()
        again.send_signal(signal.SIGUSR1)
        told += again.communicate(timeout=120)[0]
        self.assertEqual((again.returncode, told.count("evaluation put off")), (75, 1), told)
        self.train("last", 2, *settings)
        self.assertEqual([entry["step"] for entry in self.events("last", "evaluation")], [40])

    def test_an_evaluation_that_fits_no_job_is_left_out(self):
        settings = self.settings(LONG_EVALUATION)
        self.assertEqual(self.start_and_signal("endless", 2, 20, signal.SIGUSR1, *settings), 75)
        for _ in range(2):
            again = subprocess.Popen(self.command("endless", 2, *settings), stdout=subprocess.PIPE, text=True)
            while "resumes from" not in again.stdout.readline():
                self.assertIsNone(again.poll())
            time.sleep(0.3)  # it begins with the evaluation
            again.send_signal(signal.SIGUSR1)
            again.communicate(timeout=120)
            self.assertEqual(again.returncode, 75)
        self.assertEqual([entry["step"] for entry in self.events("endless", "evaluation_put_off")], [20, 20, 20])
        done = self.train("endless", 2, *settings)
        self.assertIn("step 20: its evaluation was put off by 3 jobs and is left out", done.stderr)
        self.assertEqual([entry["step"] for entry in self.events("endless", "evaluation")], [40])

    def test_the_time_limit(self):
        endless = ("schedule.total_steps=1000000", "checkpoint.every=0", "evaluation.every=0", "run.stop_margin=0")
        done = self.train("limited", 2, *endless, "run.time_limit=4", expect=75)
        self.assertIn("stopped by the time limit", done.stdout)
        before = len(self.events("limited"))
        os.environ["SLURM_JOB_END_TIME"] = str(int(time.time()) + 5)
        try:
            self.train("limited", 2, *endless, expect=75)
        finally:
            del os.environ["SLURM_JOB_END_TIME"]
        self.assertGreater(len(self.events("limited")), before)

    def test_status(self):
        self.start_and_signal("told", 2, 13, signal.SIGUSR1)
        told = self.status("told")
        self.assertIn("stopped early with a committed checkpoint", told)
        self.assertIn("last commit " + self.checkpoints("told")[-1], told)
        self.train("told", 2)
        self.assertRegex(self.status("told"), r"state +finished\nstep +40 of 40 \(100.0 %\)")
        self.assertIn("no run directory", self.status("nowhere", expect=2))

    def test_what_needs_no_ranks_needs_no_mpi(self):
        configuration = self.configuration("printed")
        for words, said in ((["--print-config", "--config", configuration], "num_key_value_heads: 2"),
                            (["--plan", "--config", configuration, "--ranks", "4"], "Plan of test on 4 ranks"),
                            (["--help", "--print-config"], "SECTION.KEY=VALUE"), (["--version"], "cola_dist ")):
            # An MPI library that were started would look for this component.
            done = self.call(["env", "-i", "PATH=/nowhere", "OMPI_MCA_pml=none-such", harness.PROGRAMS / "cola_dist", *words],
                             expect=0)
            self.assertIn(said, done.stdout)

    def test_one_rank_answers_for_all(self):
        self.train("answered", 1, "schedule.total_steps=6")
        done = self.call([self.MPIRUN, "-n", "2", "--oversubscribe", harness.PROGRAMS / "cola_dist", "--status",
                          self.directory / "answered"], expect=0)
        self.assertEqual(done.stdout.count("last commit"), 1, done.stdout)
        plan = self.train("answered", 2, more=["--plan"])
        self.assertEqual(plan.stdout.count("Plan of test on 2 ranks"), 1, plan.stdout)


if __name__ == "__main__":
    harness.unittest.main()
