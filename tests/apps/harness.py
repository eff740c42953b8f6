"""What the tests of training share: real programs, real ranks, a small real corpus, in a temporary directory."""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else pathlib.Path("build/release/bin").resolve()
MPIRUN = shutil.which("mpirun") or "mpirun"
FAILING_CALLS = next((found for folder in PROGRAMS.parents if (found := folder / "lib/libfailing_calls.so").exists()), None)

CONFIGURATION = """\
run: {name: test, dir: DIRECTORY, seed: 7}
model: {vocab_size: 258, hidden_size: 32, intermediate_size: 45, num_hidden_layers: 2, num_attention_heads: 4,
        num_key_value_heads: 2, max_position_embeddings: 64, projection: cola, rank: 12, gate_activation: true}
data: {train: [DATA/train-*.h5], validation: [DATA/validation-*.h5], sequence_length: 32}
optimizer: {lr: 3.0e-3}
schedule: {total_steps: 40, warmup_steps: 5}
train: {global_batch: 12, micro_batch: 2, precision: fp32, device: cpu, threads: 1}
checkpoint: {every: 10, keep: 10}
evaluation: {every: 20, tokens: 2048}
"""


def gpu_count():
    """GPUs that the driver offers here."""
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def corpus():
    """Text with something to learn: sentences drawn by a fixed rule."""
    subjects = "the sea|a lamp|my brother|the old clock|every river|some bird|the printer|our house".split("|")
    verbs = "waits for|turns to|remembers|carries|follows|hides|measures|paints".split("|")
    objects = "the morning|a letter|its shadow|two stones|the door|a long song|the rain|nothing".split("|")
    state, paragraphs = 1, []
    for _ in range(400):
        sentences = []
        for _ in range(12):
            state = (state * 1103515245 + 12345) % 2147483648
            sentences.append(f"{subjects[state >> 8 & 7]} {verbs[state >> 13 & 7]} {objects[state >> 18 & 7]}.")
        paragraphs.append(" ".join(sentences))
    return "\n\n".join(paragraphs) + "\n"


class TrainingTest(unittest.TestCase):
    PROGRAMS, MPIRUN = PROGRAMS, MPIRUN

    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="cola-test-"))
        (cls.directory / "text.txt").write_text(corpus())
        data = cls.directory / "data"
        cls.call([PROGRAMS / "cola_data", "tokenize", "--input", cls.directory / "text.txt", "--output", data, "--bytes",
                  "--document-bytes", "500"], expect=0)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory, ignore_errors=True)

    @classmethod
    def call(cls, words, expect=None):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"{words} ended with {done.returncode} instead of {expect}\n{done.stdout}\n{done.stderr}")
        return done

    @classmethod
    def write_scripts(cls, folder, bodies):
        """Makes a folder of scripts for bash, by name, that may stand before others on PATH."""
        path = cls.directory / folder
        path.mkdir()
        for name, body in bodies.items():
            (path / name).write_text(f"#!/bin/bash\n{body}\n")
            (path / name).chmod(0o755)
        return path

    @classmethod
    def configuration(cls, run):
        path = cls.directory / f"{run}.yaml"
        text = CONFIGURATION.replace("DIRECTORY", str(cls.directory / run)).replace("DATA", str(cls.directory / "data"))
        path.write_text(text)
        return path

    @classmethod
    def command(cls, run, ranks, *settings, more=()):
        words = [] if ranks is None else [MPIRUN, "-n", str(ranks), "--oversubscribe"]
        words += [str(PROGRAMS / "cola_dist"), "--config", str(cls.configuration(run)), *more]
        for setting in settings:
            words += ["--set", setting]
        return words

    @classmethod
    def job_of(cls, *commands):
        """A job of one rank a command. `COMMAND : COMMAND` is not for every mpirun: that of Debian 13, Open MPI 5.0.7,
        crashes on it."""
        choices = " ".join(f"{rank}) exec {shlex.join(map(str, words))} ;;" for rank, words in enumerate(commands))
        return [cls.MPIRUN, "--oversubscribe", "-n", str(len(commands)), "sh", "-c",
                f'case "${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}" in {choices} esac']

    @classmethod
    def train(cls, run, ranks, *settings, expect=0, more=()):
        return cls.call(cls.command(run, ranks, *settings, more=more), expect=expect)

    @classmethod
    def events(cls, run, kind="step"):
        with open(cls.directory / run / "metrics.jsonl") as file:
            entries = [entry for entry in map(json.loads, file) if entry["event"] == kind]
        for entry in entries:  # the one thing that differs from one run to its twin
            del entry["time"]
        return entries

    @classmethod
    def losses(cls, run):
        return [entry["loss"] for entry in cls.events(run)]

    @classmethod
    def checkpoints(cls, run):
        return sorted(path.parent.name for path in (cls.directory / run / "checkpoints").glob("step-*/manifest.json"))

    @staticmethod
    def ranks_of(launcher):
        """Process ids of a launcher's ranks, which are its children."""
        children = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
        return [int(word) for word in children.read_text().split()] if children.exists() else []

    def start_and_signal(self, run, ranks, step, number, *settings):
        """Starts a run, sends a signal once `step` is in its metrics, and returns the exit code."""
        process = subprocess.Popen(self.command(run, ranks, *settings), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        metrics = self.directory / run / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while not (metrics.exists() and f'"step":{step},' in metrics.read_text()):
            self.assertIsNone(process.poll(), "the run ended before the signal was sent")
            self.assertLess(time.monotonic(), deadline, "the run made no progress")
            time.sleep(0.005)
        if number == signal.SIGKILL:
            for rank in self.ranks_of(process):
                os.kill(rank, signal.SIGKILL)
        else:
            process.send_signal(number)
        return process.wait(timeout=120)

    def assert_identical(self, first, second):
        done = self.call([PROGRAMS / "cola_ckpt", "diff", self.directory / first, self.directory / second])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
