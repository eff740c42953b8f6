"""`cmake --install`: a tree that runs wherever it is moved to, beside whatever else lies in the prefix."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

BUILD = harness.PROGRAMS.parent
BUNDLES = "COLA_BUNDLE_LIBRARIES:BOOL=ON" in (BUILD / "CMakeCache.txt").read_text()
# What a shell elsewhere has: nothing that leads to this machine's libraries.
PLAIN = {"PATH": "/usr/bin:/bin", "HOME": "/",
         **{name: os.environ[name] for name in os.environ if name.endswith("SAN_OPTIONS")}}
FOREIGN_SCRIPT = "#!/bin/sh\ntouch EXECUTED\nexit 3\n"


def call(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, **more)


def install(*options, **environment):
    return call("cmake", "--install", BUILD, *options, env={**os.environ, **environment})


def libraries(program):
    """Where a program finds each library."""
    return dict(re.findall(r"^\t(\S+) => (.+?)(?: \(0x\w+\))?$", call("ldd", program, env=PLAIN).stdout, re.MULTILINE))


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="cola-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory)


class Tree(Installed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.staged = cls.directory / "staged"
        prefix = cls.staged / "opt/cola"
        (prefix / "bin").mkdir(parents=True)
        (prefix / "lib/python").mkdir(parents=True)
        script = prefix / "bin/foreign"
        script.write_text(FOREIGN_SCRIPT.replace("EXECUTED", str(cls.directory / "executed")))
        script.chmod(0o755)
        # A program and a library with run paths of their own.
        shutil.copy(harness.PROGRAMS / "cola_ckpt", prefix / "bin/foreign_program")
        shutil.copy(BUILD / "lib/libcola_onednn.so", prefix / "lib/python/libforeign.so")
        foreign = {path: path.read_bytes() for path in prefix.rglob("*") if path.is_file()}
        done = install("--prefix", "/opt/cola", "--strip", DESTDIR=str(cls.staged))
        if done.returncode:
            raise AssertionError(done.stdout[-2000:] + done.stderr)
        cls.changed = [path for path, content in foreign.items() if path.read_bytes() != content]
        cls.tree = cls.directory / "moved"
        shutil.move(prefix, cls.tree)

    def run_in_tree(self, script):
        """What a shell that has sourced the tree's environment says."""
        done = call("bash", "-euc", f". {self.tree}/share/cola_dist/scripts/environment.sh\n{script}", cwd=self.directory,
                    env={**PLAIN, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                         "OMPI_MCA_reachable": "^netlink"})  # Open MPI 5 complains of single machines otherwise
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotRegex(done.stderr, "mca[:_]", "MPI complains of its parts")
        return done.stdout

    def test_leaves_alone_what_else_is_in_the_prefix(self):
        self.assertEqual(self.changed, [])
        self.assertFalse((self.directory / "executed").exists(), "a foreign script was executed")

    def test_lies_below_destdir_once(self):
        self.assertEqual([path for path in self.staged.rglob("*") if path != self.staged / "opt"], [])

    def test_runs_where_it_was_moved_to(self):
        program = self.tree / "bin/cola_dist"
        self.assertRegex(call(program, "--version", env=PLAIN).stdout, r"^cola_dist [\d.]+\n$")
        configuration = self.tree / "share/cola_dist/configs/tiny.yaml"
        self.assertIn("name: cola-tiny", call(program, "--config", configuration, "--print-config", env=PLAIN).stdout)
        for name, place in libraries(program).items():
            if name.startswith(("libhdf5", "libmpi", "libyaml", "libstdc++")):
                self.assertEqual(pathlib.Path(place).resolve().parent, self.tree / "lib/cola_dist")

    def test_starts_ranks_with_its_own_launcher(self):
        if not (self.tree / "bin/mpirun").exists():
            self.skipTest("only Open MPI's launcher is part of a tree")
        (self.directory / "text.txt").write_text(harness.corpus())
        said = self.run_in_tree("command -v mpirun\nmpirun --version\nmpirun --oversubscribe -n 2 "
                                "cola_data tokenize --input text.txt --output data --bytes --document-bytes 500")
        self.assertIn(f"{self.tree}/bin/mpirun\nmpirun (Open MPI) ", said)
        self.assertEqual(said.count("documents"), 1, "ranks that do not know of each other")

    def test_its_environment_leaves_no_names_of_its_own(self):
        self.assertEqual(self.run_in_tree("set | grep ^cola_ || true"), "")

    def test_skips_the_checks_of_a_gpu_without_a_driver_but_lists_them(self):
        words = ["bash", self.tree / "share/cola_dist/scripts/gpu-check.sh", "facts"]
        listed = call(*words, "--list", env=PLAIN, cwd=self.directory)
        self.assertEqual((listed.returncode, listed.stdout), (0, "facts/machine\nfacts/programs\n"), listed.stderr)
        if not shutil.which("nvidia-smi", path=PLAIN["PATH"]):
            done = call(*words, env=PLAIN, cwd=self.directory)
            self.assertEqual(done.returncode, 77, done.stderr)
            self.assertIn("nvidia-smi is missing", done.stderr)

    def test_links_of_its_documentation_lead_somewhere(self):
        pages = list((self.tree / "share/cola_dist").rglob("*.md"))
        self.assertGreater(len(pages), 8)
        for page in pages:
            for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
                self.assertTrue(link.startswith("http") or (page.parent / link).exists(), f"{page}: {link}")


class Refused(Installed):
    def test_in_the_prefix_of_another_mpi(self):
        launcher = self.directory / "bin/mpirun"
        launcher.parent.mkdir()
        launcher.write_text(FOREIGN_SCRIPT)
        done = install("--prefix", self.directory)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("belongs to another MPI", " ".join(done.stderr.split()))
        self.assertEqual([path for path in self.directory.rglob("*") if path.is_file()], [launcher])


class Component(Installed):
    def test_finds_the_libraries_that_the_build_found(self):
        done = install("--prefix", self.directory, "--component", "cola_dist")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(libraries(self.directory / "bin/cola_dist"), libraries(harness.PROGRAMS / "cola_dist"))


if __name__ == "__main__":
    if not BUNDLES or not shutil.which("patchelf"):
        print("skipped: libraries are not bundled here, or patchelf is missing")
        sys.exit(77)
    unittest.main()
