"""Where the build looks for NCCL, and what it says where there is none: with a made-up toolkit and a made-up NCCL."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness  # noqa: F401  takes the folder of the programs off the command line

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROJECT = f"""\
cmake_minimum_required(VERSION 3.24)
project(find_nccl LANGUAGES NONE)
set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH OFF)  # this machine's own NCCL stays out of sight
set(CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH OFF)
list(APPEND CMAKE_MODULE_PATH {SOURCE}/cmake)
include(ChooseNCCL)
message(STATUS "found: ${{NCCL_FOUND}} ${{NCCL_INCLUDE_DIR}} ${{NCCL_LIBRARY}}")
"""


class FindNccl(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cola-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "CMakeLists.txt").write_text(PROJECT)
        self.toolkit = self.folder / "sdk/cuda/12.4"
        (self.toolkit / "bin").mkdir(parents=True)

    def make_nccl(self, place, libraries="lib"):
        nccl = self.folder / place
        for name in ("include/nccl.h", f"{libraries}/libnccl.so"):
            (nccl / name).parent.mkdir(parents=True)
            (nccl / name).touch()
        return nccl

    def configure(self, cuda="on", nccl="auto", options=(), **variables):
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("CPATH", "LIBRARY_PATH") and not name.startswith("NCCL_")}
        return subprocess.run(["cmake", "-G", "Ninja", "-B", tempfile.mkdtemp(dir=self.folder), "-S", self.folder, f"-DCOLA_CUDA={cuda}",
                               f"-DCOLA_NCCL={nccl}", f"-DCUDAToolkit_BIN_DIR={self.toolkit}/bin",
                               f"-DCUDAToolkit_INCLUDE_DIRS={self.toolkit}/include",
                               f"-DCUDAToolkit_LIBRARY_DIR={self.toolkit}/lib64", *options],
                              env={**environment, **variables}, capture_output=True, text=True, timeout=120)

    def assert_found(self, nccl, done, libraries="lib"):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"found: TRUE {nccl}/include {nccl}/{libraries}/libnccl.so", done.stdout)

    def test_where_the_environment_points(self):
        nccl = self.make_nccl("modules/nccl")
        self.assert_found(nccl, self.configure(options=[f"-DNCCL_ROOT={nccl}"]))
        for name in ("NCCL_ROOT", "NCCL_HOME", "NCCL_DIR"):
            self.assert_found(nccl, self.configure(**{name: str(nccl)}))
        self.assert_found(nccl, self.configure(CPATH=f"/none:{nccl}/include", LIBRARY_PATH=f"/none:{nccl}/lib"))

    def test_beside_a_toolkit_of_the_hpc_sdk(self):
        self.assert_found(self.make_nccl("sdk/comm_libs/nccl"), self.configure())
        self.assert_found(self.make_nccl("sdk/comm_libs/12.4/nccl"), self.configure())  # this toolkit's own

    def test_in_the_toolkit(self):
        self.assert_found(self.make_nccl("sdk/cuda/12.4", "lib64"), self.configure(), "lib64")
        named = self.make_nccl("named")
        self.assert_found(named, self.configure(NCCL_HOME=str(named)))  # whoever names one means it

    def test_is_missed_where_cuda_or_nccl_is_asked_for(self):
        for cuda, nccl in (("on", "auto"), ("auto", "on")):
            done = self.configure(cuda, nccl)
            self.assertNotEqual(done.returncode, 0)
            said = " ".join(done.stderr.split())
            for word in ("NCCL_ROOT", "NCCL_HOME", "NCCL_DIR", "CPATH", "LIBRARY_PATH", "-DCOLA_NCCL=off"):
                self.assertIn(word, said)

    def test_may_be_missing_otherwise(self):
        done = self.configure("auto")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("-- NCCL was not found: several GPUs will exchange tensors through host memory", done.stdout)
        nccl = self.make_nccl("left-out")
        done = self.configure("on", "off", NCCL_HOME=str(nccl))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("found: TRUE", done.stdout)


if __name__ == "__main__":
    unittest.main()
