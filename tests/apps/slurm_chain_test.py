"""The chain of Slurm jobs without Slurm: sbatch is a stand-in that notes how it is called."""
import os
import pathlib
import subprocess

import harness

SOURCE = pathlib.Path(__file__).resolve().parents[2]
# An argument a line, and a line with nothing after the last.
SBATCH = """#!/bin/bash
printf '%s\\n' "$@" '' >>"$CALLS"
echo "$(grep -c '^$' "$CALLS")"
"""


class SlurmChain(harness.TrainingTest):
    def test_a_run_directory_may_hold_a_space(self):
        self.train("my run", 1)
        stand_ins = self.directory / "stand-ins"
        stand_ins.mkdir()
        (stand_ins / "sbatch").write_text(SBATCH)
        (stand_ins / "sbatch").chmod(0o755)
        calls = self.directory / "calls"
        environment = dict(os.environ, PATH=f"{stand_ins}:{os.environ['PATH']}", CALLS=str(calls),
                           COLA_JOBS=str(SOURCE / "jobs"), COLA_PROGRAMS=str(harness.PROGRAMS))
        done = subprocess.run([SOURCE / "jobs/slurm/chain.sh", self.directory / "my run.yaml", self.directory / "new data",
                               "--input", "text.txt", "--bytes"], env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "1 prepares the data, 2 trains, 3 checks the checkpoints\n")
        prepare, train, check, _ = [job.split("\n") for job in calls.read_text().split("\n\n")]
        self.assertIn(str(self.directory / "new data"), prepare)
        self.assertIn("--dependency=afterok:1", train)
        self.assertIn("--dependency=afterok:2", check)
        self.call(["sh", "-c", check[check.index("--wrap") + 1]], expect=0)


if __name__ == "__main__":
    harness.unittest.main()
