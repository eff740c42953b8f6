"""The scripts of the README where there is no Debian system."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness  # noqa: F401  takes the folder of the programs off the command line

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


class ElsewhereThanDebian(unittest.TestCase):
    def install_packages(self, *tools):
        """Runs install-packages.sh where these tools alone are found."""
        with tempfile.TemporaryDirectory(prefix="cola-test-") as folder:
            for tool in ("bash", "dirname", "basename", *tools):
                (pathlib.Path(folder) / tool).symlink_to(shutil.which(tool))
            return subprocess.run([f"{folder}/bash", SCRIPTS / "install-packages.sh"], env={"PATH": folder},
                                  capture_output=True, text=True, timeout=60)

    def test_goes_on_with_what_cmake_will_find(self):
        done = self.install_packages("cmake")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"\Ainstall-packages.sh: no Debian system, .*spack.yaml.*\n\Z")

    def test_says_what_is_needed_where_nothing_can_be_built(self):
        done = self.install_packages()
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Ainstall-packages.sh: no Debian system, .*spack.yaml.*CMake is missing\n\Z")


if __name__ == "__main__":
    unittest.main()
