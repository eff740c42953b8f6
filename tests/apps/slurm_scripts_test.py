"""The Slurm jobs' own logic without Slurm: srun is a real mpirun, scontrol and squeue are stand-ins that note how they are
called. tests/slurm runs the same jobs under a real one."""
import os
import pathlib
import subprocess

import harness

SOURCE = pathlib.Path(__file__).resolve().parents[2]
STAND_INS = {
    "srun": """printf 'srun %s\\n' "$*" >>"$CALLS"
               env | grep ^MPICH >>"$CALLS"
               while [[ $1 == -* ]]; do shift; done
               exec mpirun --oversubscribe -n 2 "$@" """,
    "module": """printf 'module %s\\n' "$*" >>"$CALLS"; [ "$2" != "$MISSING_MODULE" ] """,
    # Slurm ends the script of a job that it takes back into the queue.
    "scontrol": """[ "$1" = requeue ] || exit 0
                   printf 'scontrol %s\\n' "$*" >>"$CALLS"; kill "$PPID" """,
    "squeue": """printf 'squeue %s\\n' "$*" >>"$CALLS"; [ -n "$JOB_END" ] && echo "$JOB_END" """,
}


class SlurmScripts(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("whole", 2)
        cls.stand_ins = cls.write_scripts("stand-ins", STAND_INS)

    def submit(self, run, *arguments, script="generic", **more):
        """The job's exit code, negative where Slurm ended it, its log and the stand-ins' calls."""
        calls = self.directory / f"{run}.calls"
        calls.write_text("")
        environment = dict(
            os.environ, PATH=f"{self.stand_ins}:{os.environ['PATH']}", CALLS=str(calls), JOB_END="Unknown", SLURM_JOB_ID="7",
            SLURM_JOB_NODELIST="n1", SLURM_JOB_NUM_NODES="1", SLURMD_NODENAME="n1", COLA_JOBS=str(SOURCE / "jobs"),
            COLA_DIST=str(harness.PROGRAMS / "cola_dist")) | more
        done = subprocess.run(["bash", SOURCE / f"jobs/slurm/{script}.sbatch", self.configuration(run), *arguments],
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        return done.returncode, done.stdout, calls.read_text()

    def test_a_job_starts_from_a_chosen_checkpoint(self):
        code, log, calls = self.submit("chosen", "--resume", self.directory / "whole/checkpoints/step-00000020")
        self.assertEqual(code, 0, log)
        self.assertRegex(log, r"resumes from \S*whole/checkpoints/step-00000020, step 20 of 40")
        self.assertNotIn("scontrol", calls)
        self.assert_identical("whole", "chosen")

    def test_a_failure_after_a_new_checkpoint_is_followed_by_another_start(self):
        code, log, calls = self.submit("crashing", COLA_FAULT_POINT="committed:1")
        self.assertLess(code, 0, log)
        self.assertRegex(log, r"failed \(exit code \d+\) after new checkpoints: back into the queue")
        self.assertIn("scontrol requeue 7", calls)
        self.assertEqual(self.submit("crashing", SLURM_RESTART_COUNT="1")[0], 0)
        self.assert_identical("whole", "crashing")

    def test_one_failure_in_a_row_may_come_before_a_new_checkpoint(self):
        fruitless, fruitful = {"COLA_FAULT_POINT": "manifest:1"}, {"COLA_FAULT_POINT": "committed:1"}
        code, _, calls = self.submit("fruitless", **fruitless)  # there is no checkpoint at all
        self.assertNotIn(code, (0, 2, 75))
        self.assertNotIn("scontrol", calls)
        starts = [fruitful, fruitless, fruitful, fruitless]  # three failures in a row are the most
        for restarts, fault in enumerate(starts):
            code, log, _ = self.submit("fruitless", SLURM_RESTART_COUNT=str(restarts), **fault)
            self.assertEqual("back into the queue" in log, restarts < 3, log)
        self.assertIn("failed (exit code", self.submit("fruitless", **fruitless)[1])  # a person has submitted it again
        code, log, calls = self.submit("fruitless", SLURM_RESTART_COUNT="1", **fruitless)
        self.assertNotIn(code, (0, 2, 75), log)
        self.assertNotIn("scontrol", calls)
        self.assertEqual(self.submit("fruitless", SLURM_RESTART_COUNT="2")[0], 0)
        self.assertFalse((self.directory / "fruitless/failed_starts").exists())
        self.assert_identical("whole", "fruitless")

    def test_failures_in_a_row_are_bounded_until_a_person_submits_again(self):
        for failed in range(4):
            code, log, _ = self.submit("unstable", SLURM_RESTART_COUNT=str(failed), COLA_FAULT_POINT="committed:1")
            self.assertEqual("back into the queue" in log, failed < 3, log)
        self.assertIn("back into the queue", self.submit("unstable", "--set", "schedule.total_steps=80",
                                                         COLA_FAULT_POINT="committed:1")[1])

    def test_cores_are_asked_for_where_the_job_has_asked(self):
        _, _, calls = self.submit("asked", SLURM_CPUS_PER_TASK="3")
        self.assertRegex(calls, r"srun .* --cpus-per-task=3 --mpi=pmix --cpu-bind=cores \S*/cola_dist --config ")
        _, _, calls = self.submit("unasked")
        self.assertNotIn("--cpus-per-task", calls)

    def test_perlmutter(self):
        code, log, calls = self.submit("perlmutter", "--set", "train.device=cpu", script="perlmutter")
        self.assertEqual(code, 0, log)
        self.assertIn("module load PrgEnv-gnu ", calls)
        self.assertRegex(calls, r"srun .* --cpu-bind=cores \S*/cola_dist --config \S* --set train.device=cuda --set ")
        self.assertIn("MPICH_GPU_SUPPORT_ENABLED=0\n", calls)

    def test_a_module_that_is_not_there_ends_the_job(self):
        code, log, calls = self.submit("moduleless", script="perlmutter", MISSING_MODULE="PrgEnv-gnu")
        self.assertEqual(code, 2, log)
        self.assertNotIn("srun", calls)

    def test_the_jobs_end_where_slurm_does_not_tell_it(self):
        _, log, _ = self.submit("told", JOB_END="2040-01-01T00:00:00")
        self.assertIn("finished step 40", log)
        _, log, calls = self.submit("untold", JOB_END="")
        self.assertIn("squeue does not answer: the job's end is not known", log)
        self.assertEqual(calls.count("squeue"), 3)


if __name__ == "__main__":
    harness.unittest.main()
