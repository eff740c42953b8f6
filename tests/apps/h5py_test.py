"""Token files and checkpoints are readable with h5py alone: the code that the documentation gives is run on real ones."""
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import harness

DOCUMENTATION = pathlib.Path(__file__).resolve().parents[2] / "docs"
SKIPPED = 77


def find_python():
    """A Python that has h5py: this one, or the system's, for which distributions package it."""
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) and subprocess.run([python, "-c", "import h5py"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


PYTHON = find_python()
PRINT_TOKENS = "    import json; print(json.dumps([int(id) for id in file['tokens'][begin:end]]))\n"  # while the file is open
PRINT_TENSORS = """
print(json.dumps({name: [list(tensor.shape), tensor.astype("<f4").tobytes().hex()] for name, tensor in tensors.items()}))
"""


def read_safetensors(path):
    """name: [shape, bytes in hexadecimal] of each tensor."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header, values = json.loads(content[8:8 + size]), content[8 + size:]
    header.pop("__metadata__", None)
    return {name: [entry["shape"], values[slice(*entry["data_offsets"])].hex()] for name, entry in header.items()}


class Documented(harness.TrainingTest):
    def run_code(self, page, more="", number=0, of=1):
        """What a block of the page's Python code prints with `more` behind it, in a folder that looks like its reader's."""
        blocks = re.findall(r"^```python\n(.*?)^```", (DOCUMENTATION / page).read_text(), re.DOTALL | re.MULTILINE)
        self.assertEqual(len(blocks), of, page)
        done = subprocess.run([PYTHON, "-c", blocks[number] + more], cwd=self.directory, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_code_reads_a_token_file(self):
        (self.directory / "data/tiny").mkdir()
        shutil.copy(self.directory / "data/train-00000.h5", self.directory / "data/tiny")
        attributes, *_, document = self.run_code("data.md", PRINT_TOKENS, of=2)
        attributes = re.sub(r"np\.int64\((\d+)\)", r"\1", attributes)  # as NumPy 2 says it
        for words in ("'vocab_size': 258", "'eos_id': 256", "'pad_id': 257", "'tokenizer': 'bytes", "'packing': 'packed'"):
            self.assertIn(words, attributes)
        document = json.loads(document)
        self.assertEqual(document[-1], 256)
        self.assertIn(bytes(document[:-1]).decode().strip(), harness.corpus())

    def test_code_writes_a_token_file(self):
        (self.directory / "story.txt").write_text(harness.corpus())
        self.run_code("data.md", number=1, of=2)
        written = self.directory / "data/story/train-00000.h5"
        self.call([harness.PROGRAMS / "cola_data", "inspect", written], expect=0)
        done = self.train("story", 2, f"data.train=[{written}]", "schedule.total_steps=6")
        self.assertIn("finished step 6", done.stdout)

    def test_code_reads_a_checkpoint(self):
        self.train("cola-tiny", 3, "schedule.total_steps=4", "schedule.warmup_steps=1", "checkpoint.every=4")
        (self.directory / "runs").mkdir()
        (self.directory / "cola-tiny").rename(self.directory / "runs/cola-tiny")
        checkpoints = self.directory / "runs/cola-tiny/checkpoints"
        (checkpoints / "step-00000300").symlink_to("step-00000004")
        self.assertGreater(len(list(checkpoints.glob("step-00000004/shard-*.h5"))), 1)
        tensors = self.run_code("checkpoints.md", PRINT_TENSORS)[-1]
        exported = self.directory / "exported"
        self.call([harness.PROGRAMS / "cola_ckpt", "export", "--format", "safetensors", checkpoints / "step-00000004", exported],
                  expect=0)
        self.assertEqual(json.loads(tensors), read_safetensors(exported / "model.safetensors"))


if __name__ == "__main__":
    if not PYTHON:
        print("skipped: no Python here has h5py")
        sys.exit(SKIPPED)
    harness.unittest.main()
