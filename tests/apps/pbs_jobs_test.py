"""The PBS jobs' own logic, with the environment a real job has and a real mpirun. qstat, qsub, qrerun, module and the
Cray's mpiexec are stand-ins that note how they are called: there is no PBS server here."""
import os
import pathlib
import re
import signal
import subprocess
import time

import harness

SOURCE = pathlib.Path(__file__).resolve().parents[2]
STAND_INS = {
    "qstat": """echo "$*" >>"$CALLS.qstat"
                case "$QSTAT:$(wc -l <"$CALLS.qstat")" in
                  down:*) echo "qstat: cannot connect to server pbs (errno=15010)" >&2; exit 1 ;;
                  slow:1) exec sleep 60 ;;
                esac
                sed "s/WALLTIME/$WALLTIME/; s/RUN_COUNT/${RUN_COUNT:-1}/" <"$DESCRIPTION" """,
    # As OpenPBS does, it sends no variable that is not set.
    "qsub": """printf "qsub %s\\n" "$*" "restarts=$COLA_RESTARTS" >>"$CALLS"
               while [ "$1" != -v ]; do shift; done
               for name in ${2//,/ }; do
                 [[ $name == *=* || -v $name ]] || { echo "qsub: cannot send environment with the job"; exit 1; }
               done
               [ "$(grep -c '^qsub -W' "$CALLS")" -gt "${QSUB_FAILURES:-0}" ] """,
    "qrerun": 'echo "qrerun $*" >>"$CALLS"',
    "module": 'echo "module $*" >>"$CALLS"; [ "$2" != "$MISSING_MODULE" ]',
    # PALS' options are not those of Open MPI.
    "mpiexec": """printf 'mpiexec %s\\n' "$*" >>"$CALLS"; env | grep -E '^(NCCL|FI_|MPICH|LD_LIB|OMP_NUM|COLA_JOB_END)' >>"$CALLS"
                  [ "$3" != --ppn ] || { ranks=$2; shift 7; set -- -n "$ranks" "$@"; }
                  exec mpirun --oversubscribe "$@" """,
}
# As OpenPBS writes it, long values broken; what may be taken for the limit, and is not.
DESCRIPTION = """\
Job Id: 7.pbs
    Job_Name = cola
    Job_Owner = user@login
    resources_used.cpupercent = 0
    resources_used.mem = 5312kb
    resources_used.ncpus = 64
    resources_used.walltime = 00:00:03
    job_state = R
    queue = workq
    exec_host = n1/0*32+n2/0*32
    Rerunable = True
    Resource_List.max_walltime = 48:00:00
    Resource_List.min_walltime = 00:00:01
    Resource_List.ncpus = 64
    Resource_List.select = 2:ncpus=32:mpiprocs=2
    Resource_List.soft_walltime = 00:00:02
    Resource_List.walltime = WALLTIME
    stime = Thu Nov 26 03:54:20 2026
    Variable_List = PBS_O_HOME=/home/user,PBS_O_LANG=C.UTF-8,
\tPBS_O_PATH=/usr/local/bin:/usr/bin:/bin,PBS_O_SHELL=/bin/bash,
\tSETTINGS=run.time_limit = 1,Resource_List.walltime = 00:00:04
    run_count = RUN_COUNT
    Submit_arguments = -l walltime=00:00:05 jobs/pbs/generic.pbs

"""


def processes_of_session(session):
    """The processes that pbs_mom signals, in the order in which it finds them."""
    found = []
    for folder in sorted(pathlib.Path("/proc").glob("[0-9]*"), key=lambda folder: int(folder.name)):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(folder.name))
        except OSError:
            continue  # it is gone
    return found


class PbsJobs(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("whole", 2)
        cls.stand_ins = cls.write_scripts("stand-ins", STAND_INS)
        (cls.directory / "description").write_text(DESCRIPTION)

    def start(self, run, script="generic", walltime="01:00:00", settings="", ranks=2, **more):
        """Starts the script as pbs_mom does, in a session of its own."""
        node_file = self.directory / "nodes"
        node_file.write_text("localhost\n" * ranks)
        self.calls_of(run).write_text("")
        environment = dict(
            os.environ, PATH=f"{self.stand_ins}:{os.environ['PATH']}", CALLS=str(self.calls_of(run)), WALLTIME=walltime,
            DESCRIPTION=str(self.directory / "description"),
            PBS_JOBID="7.pbs", PBS_JOBNAME=run, PBS_O_WORKDIR=str(self.directory), PBS_NODEFILE=str(node_file),
            PBS_ENVIRONMENT="PBS_BATCH", NCPUS="32", OMP_NUM_THREADS="32", COLA_JOBS=str(SOURCE / "jobs"),
            COLA_DIST=str(harness.PROGRAMS / "cola_dist"), CONFIGURATION=str(self.configuration(run)),
            SETTINGS=settings)
        environment = {name: value for name, value in (environment | more).items() if value is not None}
        return subprocess.Popen(["bash", SOURCE / f"jobs/pbs/{script}.pbs"], env=environment, cwd="/",
                                start_new_session=True)

    def finish(self, run, job):
        """The job's exit code, its log and the stand-ins' calls."""
        code = job.wait(timeout=120)
        return code, self.log_of(run, 7), self.calls_of(run).read_text()

    def log_of(self, run, number):
        return (self.directory / f"{run}-{number}.log").read_text()

    def submit(self, run, *arguments, **more):
        return self.finish(run, self.start(run, *arguments, **more))

    def calls_of(self, run):
        return self.directory / f"{run}.calls"

    def test_a_job_that_has_time_finishes(self):
        code, log, calls = self.submit("enough")
        self.assertEqual(code, 0, log)
        self.assertRegex(log, r"3[56]\d\d s left")
        self.assertNotIn("qsub", calls)
        self.assertNotIn("OMP_NUM_THREADS", calls)
        self.assert_identical("whole", "enough")

    def test_a_job_at_its_limit_submits_the_next_one(self):
        code, log, calls = self.submit("limited", walltime="00:00:20")
        self.assertEqual(code, 75, log)
        self.assertRegex(log, r"stopped by the time limit after step \d+, saved")
        self.assertIn("qsub -W depend=afterany:7.pbs -N limited -v "
                      "CONFIGURATION,SETTINGS,COLA_RESTARTS,COLA_FIRST_JOB,COLA_JOBS,COLA_DIST ", calls)
        self.assertNotIn("qrerun", calls)
        self.assertTrue(re.search(r"jobs/pbs/generic.pbs\nqsub restarts=1\n", calls), calls)
        code, log, _ = self.submit("limited", PBS_JOBID="8.pbs", COLA_FIRST_JOB="7", COLA_RESTARTS="1")
        self.assertEqual(code, 0, log)
        self.assertIn("stopped by the time limit", log)  # one log over all restarts
        self.assertIn("restart 1 of at most 100", log)
        self.assertNotIn("changed since", log)
        self.assertIn("time_limit: 0\n", (self.directory / "limited/config.yaml").read_text())
        self.assert_identical("whole", "limited")

    def test_the_end_is_told_as_a_time_however_long_the_launch_takes(self):
        begin = time.time()
        _, log, calls = self.submit("timed", walltime="00:10:00")
        end = int(re.search(r"COLA_JOB_END_TIME=(\d+)", calls)[1])
        self.assertTrue(begin + 590 < end < begin + 602, log)

    def test_jobs_of_one_name_have_logs_of_their_own(self):
        self.assertEqual(self.submit("twice")[0], 0)
        _, log, _ = self.submit("twice", PBS_JOBID="8.pbs")
        self.assertEqual(log.count("job 7.pbs"), 1)
        self.assertEqual(log.count("job 8.pbs"), 0)
        self.assertEqual(self.log_of("twice", 8).count("job 8.pbs"), 1)

    def test_a_job_that_starts_from_a_chosen_checkpoint_goes_on_from_what_came_of_it(self):
        chosen = {"RESUME": str(self.directory / "whole/checkpoints/step-00000020")}
        code, log, calls = self.submit("chosen", walltime="00:00:20", **chosen)
        self.assertEqual(code, 75, log)
        self.assertRegex(log, r"resumes from \S*whole/checkpoints/step-00000020, step 20 of 40")
        self.assertIn("-v CONFIGURATION,SETTINGS,RESUME,COLA_RESTARTS,", calls)
        code, log, _ = self.submit("chosen", COLA_RESTARTS="1", **chosen)
        self.assertEqual(code, 0, log)
        self.assertIn("resumes from what has come of --resume", log)
        self.assert_identical("whole", "chosen")

    def test_the_next_job_is_submitted_where_only_the_configuration_is_set(self):
        """As the documented command leaves it, in the project's folder: no SETTINGS, nothing of an installation."""
        (self.directory / "jobs").symlink_to(SOURCE / "jobs")
        programs = self.directory / "build/release/bin"
        programs.parent.mkdir(parents=True)
        programs.symlink_to(harness.PROGRAMS)
        code, log, calls = self.submit("bare", walltime="00:00:20", settings=None, COLA_JOBS=None, COLA_DIST=None)
        self.assertEqual(code, 75, log)
        self.assertIn("submitted again as restart 1", log)
        self.assertIn("-v CONFIGURATION,COLA_RESTARTS,COLA_FIRST_JOB jobs/pbs/generic.pbs\n", calls)
        self.assertNotIn("qrerun", calls)

    def test_restarts_are_bounded(self):
        code, log, calls = self.submit("bounded", walltime="00:00:20", COLA_RESTARTS="100")
        self.assertEqual(code, 75)
        self.assertIn("restarted 100 times already", log)
        self.assertNotIn("qsub", calls)

    def test_the_bound_on_restarts_is_chosen_by_a_variable_and_handed_on(self):
        code, _, calls = self.submit("few", walltime="00:00:20", COLA_MOST_RESTARTS="1")
        self.assertEqual(code, 75)
        self.assertIn(",COLA_MOST_RESTARTS,", calls)
        _, log, calls = self.submit("few", walltime="00:00:20", COLA_MOST_RESTARTS="1", COLA_RESTARTS="1")
        self.assertIn("restarted 1 times already", log)
        self.assertNotIn("qsub", calls)

    def test_what_pbs_starts_again_counts_as_a_restart(self):
        code, log, _ = self.submit("again", RUN_COUNT="3", COLA_RESTARTS="2")
        self.assertEqual(code, 0, log)
        self.assertIn("restart 4 of at most 100", log)

    def test_qrerun_where_compute_nodes_cannot_submit(self):
        code, _, calls = self.submit("rerun", walltime="00:00:20", QSUB_FAILURES="9")
        self.assertEqual(code, 75)
        self.assertIn("qrerun 7.pbs", calls)

    def test_a_server_that_does_not_take_the_next_job_at_once(self):
        code, log, calls = self.submit("busy", walltime="00:00:20", QSUB_FAILURES="1")
        self.assertEqual(code, 75)
        self.assertIn("submitted again as restart 1", log)
        self.assertNotIn("qrerun", calls)

    def test_a_server_that_answers_late(self):
        code, log, _ = self.submit("late", QSTAT="slow")
        self.assertEqual(code, 0, log)
        self.assertRegex(log, r"3[56]\d\d s left")

    def test_the_limit_in_the_script_where_the_server_does_not_answer(self):
        code, log, _ = self.submit("silent", QSTAT="down")
        self.assertEqual(code, 0, log)
        self.assertIn("qstat does not answer: the time limit is taken to be that of ", log)
        self.assertRegex(log, r"generic.pbs, 04:00:00\n.* 143\d\d s left")

    def test_forms_of_the_limit(self):
        forms = {"04:00:00": 14400, "100:00:01": 360001, "3600": 3600, "05:30": 330, "2:01:00:00": 176400, "00:10:00.50": 600,
                 "00:00:00": 1, "UNLIMITED": None, "": None}
        for form, seconds in forms.items():
            said = self.call(["bash", "-c", f". {SOURCE}/jobs/pbs/rerun.sh; SECONDS=0; seconds_left_of '{form}'"], expect=0).stdout
            self.assertEqual(said, "" if seconds is None else f"{seconds}\n", form)

    def test_a_job_array_is_refused(self):
        job = self.start("array", PBS_JOBID="7[3].pbs", PBS_ARRAY_INDEX="3")
        self.assertEqual(job.wait(timeout=60), 2)
        self.assertEqual(self.log_of("array", "7[3]"), "a run cannot be shared by a job array: submit one job a configuration\n")
        self.assertEqual(self.calls_of("array").read_text(), "")

    def test_data_are_prepared(self):
        code = self.start("data-job", script="prepare-data", OUTPUT="tokens",
                          ARGUMENTS="--input te*.txt --bytes --document-bytes 500", COLA_DATA=str(harness.PROGRAMS / "cola_data")
                          ).wait(timeout=120)
        self.assertEqual(code, 0)
        same = (self.directory / "data/train-00000.h5").read_bytes() == (self.directory / "tokens/train-00000.h5").read_bytes()
        self.assertTrue(same)

    def start_and_wait_for_a_step(self, run):
        """A job of long steps, longer than mpirun waits by itself between SIGTERM and SIGKILL."""
        job = self.start(run, settings="train.global_batch=3000 checkpoint.every=0 evaluation.every=0 schedule.total_steps=20")
        metrics = self.directory / run / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while not (metrics.exists() and '"step":1,' in metrics.read_text()):
            self.assertIsNone(job.poll(), "the job ended")
            self.assertLess(time.monotonic(), deadline, "the job made no progress")
            time.sleep(0.05)
        return job

    def assert_saved_and_not_submitted(self, run, job):
        code, log, calls = self.finish(run, job)
        self.assertEqual(code, 75, log)
        self.assertRegex(log, r"stopped by SIG(TERM|USR1) after step \d+, saved")
        self.assertIn("told to end", log)
        self.assertEqual(len(self.checkpoints(run)), 1)
        self.assertNotIn("qsub", calls)
        self.assertNotIn("qrerun", calls)

    def test_a_script_told_to_end_saves_and_is_not_submitted_again(self):
        job = self.start_and_wait_for_a_step("told")
        job.terminate()
        self.assert_saved_and_not_submitted("told", job)

    def test_qdel_which_signals_every_process_of_the_job_saves(self):
        job = self.start_and_wait_for_a_step("deleted")
        for process in processes_of_session(job.pid):
            os.kill(process, signal.SIGTERM)
        self.assert_saved_and_not_submitted("deleted", job)

    def test_a_failure_after_a_new_checkpoint_is_followed_by_another_start(self):
        code, log, calls = self.submit("crashing", COLA_FAULT_POINT="committed:2")
        self.assertEqual(code, 75, log)
        self.assertRegex(log, r"failed \(exit code \d+\) after new checkpoints: submitted again as restart 1")
        self.assertIn("qsub -W depend=afterany:7.pbs", calls)
        committed = self.checkpoints("crashing")
        code, log, calls = self.submit("crashing", COLA_RESTARTS="1", COLA_FAULT_POINT="manifest:1")  # none is new
        self.assertEqual(code, 75, log)
        self.assertRegex(log, r"failed \(exit code \d+\) before a new checkpoint, .*: submitted again as restart 2")
        code, log, calls = self.submit("crashing", COLA_RESTARTS="2", COLA_FAULT_POINT="manifest:1")
        self.assertNotIn(code, (0, 2, 75), log)
        self.assertNotIn("qsub", calls)
        self.assertEqual(self.checkpoints("crashing"), committed)
        self.assertEqual(self.submit("crashing")[0], 0)
        self.assertFalse((self.directory / "crashing/failed_starts").exists())
        self.assert_identical("whole", "crashing")

    def test_failures_in_a_row_are_bounded(self):
        for failed in range(4):
            code, log, calls = self.submit("unstable", COLA_RESTARTS=str(failed), COLA_FAULT_POINT="committed:1")
            self.assertEqual(code == 75, failed < 3, log)
            self.assertEqual("qsub" in calls, failed < 3)

    def test_a_loss_that_is_not_finite_does_not_come_back_for_ever(self):
        settings = "optimizer.lr=1e30 optimizer.grad_clip=0 checkpoint.every=1"
        for restarts in range(2):
            code, log, _ = self.submit("exploding", settings=settings, COLA_RESTARTS=str(restarts))
            self.assertEqual(code, 75, log)
        code, log, calls = self.submit("exploding", settings=settings, COLA_RESTARTS="2")
        self.assertEqual(code, 1, log)
        self.assertEqual(log.count("is not finite"), 3)
        self.assertNotIn("qsub", calls)

    def test_ranks_that_die_before_the_run_begins_are_started_once_more(self):
        dying = self.write_scripts("dying", {"cola_dist": f'''
            [ -z "$PMIX_RANK" ] || {{ echo >>"$CALLS.starts"; [ "$(wc -l <"$CALLS.starts")" -gt "$DEATHS" ] || kill -SEGV $$; }}
            exec {harness.PROGRAMS}/cola_dist "$@"'''})
        for deaths, expected in ((1, 0), (2, 139)):
            run = f"dying-{deaths}"
            code, log, calls = self.submit(run, ranks=1, COLA_DIST=f"{dying}/cola_dist", DEATHS=str(deaths))
            self.assertEqual(code, expected, log)
            self.assertEqual(log.count("the ranks died (exit code 139) before the run began: started once more"), 1, log)
            self.assertNotIn("qsub", calls)

    def test_a_failure_is_not_repeated(self):
        code, log, calls = self.submit("failing", settings="model.hidden_size=33")
        self.assertEqual(code, 2, log)
        self.assertIn("model.hidden_size", log)
        self.assertNotIn("qsub", calls)

    def test_polaris(self):
        plugin = self.directory / "plugin"
        plugin.mkdir()
        polaris = {"script": "polaris", "ranks": 4, "settings": "train.device=cpu", "SLINGSHOT_PLUGIN": str(plugin)}
        _, log, calls = self.submit("pluginless", **polaris)
        self.assertIn(f"no libnccl-net*.so in {plugin}", log)
        self.assertNotIn("NCCL", calls)
        (plugin / "libnccl-net.so").touch()
        code, log, calls = self.submit("polaris", **polaris)
        self.assertEqual(code, 0, log)
        self.assertIn("module use /soft/modulefiles\nmodule load PrgEnv-gnu ", calls)
        self.assertIn("mpiexec -n 4 --ppn 4 --depth=8 --cpu-bind depth", calls)
        self.assertIn("cola_dist --set train.device=cuda --config ", calls)
        self.assertIn("NCCL_NET=AWS Libfabric", calls)
        self.assertIn(f"LD_LIBRARY_PATH={plugin}:/soft/libraries/hwloc/lib", calls)
        _, _, calls = self.submit("plain", SLINGSHOT_NCCL="no", **polaris)
        self.assertNotIn("NCCL", calls)
        self.assertIn("MPICH_OFI_NIC_POLICY=NUMA", calls)
        self.assertIn("MPICH_GPU_SUPPORT_ENABLED=0", calls)
        code, log, calls = self.submit("moduleless", MISSING_MODULE="PrgEnv-gnu", **polaris)
        self.assertEqual(code, 2, log)
        self.assertNotIn("mpiexec", calls)

    def test_a_job_without_the_gpus_that_its_script_asks_for_ends(self):
        if harness.gpu_count():
            self.skipTest("there are GPUs")
        code, log, calls = self.submit("unlucky", script="polaris", SLINGSHOT_NCCL="no")
        self.assertEqual(code, 2, log)
        self.assertIn("train.device: ", log)
        self.assertNotIn("qsub", calls)


if __name__ == "__main__":
    harness.unittest.main()
