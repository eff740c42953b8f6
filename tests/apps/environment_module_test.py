"""The environment module of an installed tree, loaded and unloaded by a real `module`: Lmod or Environment Modules."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness

INITIALISATIONS = [pathlib.Path(name) for name in ("/etc/profile.d/lmod.sh", "/etc/profile.d/modules.sh")]
INITIALISATION = next((path for path in INITIALISATIONS if path.exists()), None)


@unittest.skipUnless(INITIALISATION, "neither Lmod nor Environment Modules is installed")
class EnvironmentModule(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="cola-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        subprocess.run(["cmake", "--install", harness.PROGRAMS.parent, "--prefix", cls.prefix, "--component", "cola_dist"],
                       check=True, stdout=subprocess.DEVNULL)

    def words(self, script):
        """What commands say after `module use`."""
        done = subprocess.run(["bash", "-c", f". {INITIALISATION}; module use {self.prefix}/share/cola_dist/modulefiles\n{script}"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_puts_the_programs_on_the_path(self):
        said = self.words("module load cola_dist && command -v cola_dist && "
                          "cola_dist --config $COLA_CONFIGS/tiny.yaml --print-config")
        self.assertIn(f"{self.prefix}/bin/cola_dist\n", said)
        self.assertIn("name: cola-tiny", said)

    def test_tells_the_job_scripts_where_things_are(self):
        self.words("module load cola_dist && test -x $COLA_DIST -a -x $COLA_DATA -a -x $COLA_PROGRAMS/cola_ckpt "
                   "-a -e $COLA_JOBS/slurm/requeue.sh -a -e $COLA_JOBS/pbs/rerun.sh")

    def test_leaves_nothing_behind(self):
        said = self.words("module load cola_dist; module unload cola_dist; env")
        self.assertNotIn(f"{self.prefix}/bin", said)
        self.assertNotIn("\nCOLA_", said)

    def test_explains_itself(self):
        said = self.words("module whatis cola_dist; module help cola_dist")
        self.assertIn("distributed pretraining", said)
        self.assertIn("COLA_JOBS holds job scripts", said)


if __name__ == "__main__":
    unittest.main()
