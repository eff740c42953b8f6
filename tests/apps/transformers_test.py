"""Exported folders in the real transformers: same loss, same tokens, same greedy text; and back. Skipped without it.

COLA_TRANSFORMERS_PYTHON names a Python that has transformers and torch, where the usual one has not.
"""
import importlib.util
import os
import re
import shutil
import struct
import sys

SKIPPED = 77
NEEDED = ("torch", "transformers")
if not all(map(importlib.util.find_spec, NEEDED)):
    other = os.environ.pop("COLA_TRANSFORMERS_PYTHON", None)
    if not other:
        print("skipped: this Python has no", " or no ".join(NEEDED))
        sys.exit(SKIPPED)
    os.execv(other, [other, *sys.argv])

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1", TRANSFORMERS_VERBOSITY="error")

import harness  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

CKPT = harness.PROGRAMS / "cola_ckpt"
STEPS = ["schedule.total_steps=60", "checkpoint.every=60", "optimizer.lr=1.0e-2", "evaluation.tokens=1000000"]
MODELS = {"full": ["model.projection=full", "model.rms_norm_eps=1.0e-3", "model.rope_theta=700"],
          "cola": ["model.vocab_size=300"], "ungated": ["model.vocab_size=300", "model.gate_activation=false"]}
PROMPTS = ["the sea", "a lamp remembers", "  two  blanks, and\ta line\nend "]
TEXT = ("the sea  remembers a long song.\n\n a lamp\tmeasures na\u00efve caf\u00e9s, \ufb01ve \u00bd of \u65e5\u672c\u8a9e \U0001f642 "
        "the morning. ") * 5
# How SentencePiece models differ in what they make of a text; the last two have pieces of a user's.
KINDS = {"pairs": ["--model_type=bpe", "--byte_fallback"], "likely": ["--model_type=unigram", "--pad_id=3"],
         "exact": ["--model_type=bpe", "--byte_fallback", "--normalization_rule_name=identity", "--add_dummy_prefix=false",
                   "--remove_extra_whitespaces=false"],
         "tidied": ["--model_type=unigram", "--byte_fallback", "--normalization_rule_name=identity", "--user_defined_symbols=lamp"],
         "marked": ["--model_type=bpe", "--byte_fallback", "--user_defined_symbols=lamp,a.,am"]}


class Transformers(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        print("transformers", transformers.__version__, "torch", torch.__version__)
        torch.manual_seed(0)
        for kind, options in KINDS.items():
            cls.call(["spm_train", f"--input={cls.directory}/text.txt", f"--model_prefix={cls.directory}/{kind}",
                      "--vocab_size=" + ("290" if "--byte_fallback" in options else "60"), "--hard_vocab_limit=false",
                      "--minloglevel=2", *options], expect=0)
        cls.pieces = ["--tokenizer", cls.directory / "pairs.model"]
        cls.tokenize(cls.directory / "text.txt", "pieces", cls.pieces, "--document-bytes", "500")
        for name, settings in MODELS.items():
            cls.train(name, 2, *cls.settings(name))
            cls.call([CKPT, "export", "--format", "safetensors", *([] if name == "full" else cls.pieces),
                      cls.directory / name, cls.directory / f"{name}-out"], expect=0)

    @classmethod
    def tokenize(cls, text, output, tokenizer, *more):
        cls.call([harness.PROGRAMS / "cola_data", "tokenize", "--input", text, "--output", cls.directory / output, *tokenizer,
                  *more], expect=0)

    @classmethod
    def settings(cls, name):
        data = cls.directory / ("data" if name == "full" else "pieces")
        return [*STEPS, *MODELS[name], f"data.train=[{data}/train-*.h5]", f"data.validation=[{data}/validation-*.h5]"]

    def token_file(self, name, tokenizer):
        """Path and ids of TEXT as one document."""
        (self.directory / "sample.txt").write_text(TEXT)
        self.tokenize(self.directory / "sample.txt", name, tokenizer, "--document-bytes", "0", "--validation-fraction", "0")
        path = self.directory / name / "train-00000.h5"
        self.call(["h5dump", "-d", "/tokens", "-b", "LE", "-o", self.directory / "ids", path], expect=0)
        content = (self.directory / "ids").read_bytes()
        return path, list(struct.unpack(f"<{len(content) // 2}H", content))

    def load(self, name, **more):
        """The model; all of its weights must be in the folder, and no others."""
        model, report = AutoModelForCausalLM.from_pretrained(self.directory / name, trust_remote_code=True,
                                                             output_loading_info=True, **more)
        self.assertFalse([key for key, found in report.items() if found], report)
        return model.eval()

    def evaluated(self, name, checkpoint, path):
        done = self.train("evaluated", None, *self.settings(name), f"data.validation=[{path}]", "data.allow_change=true",
                          more=["--evaluate", "--resume", str(self.directory / checkpoint)])
        return float(re.search(r"validation loss ([0-9.]+)", done.stdout)[1])

    @staticmethod
    @torch.no_grad()
    def loss(model, ids, length=32):
        samples = (len(ids) - 1) // length
        inputs, targets = (torch.tensor(ids[shift:shift + samples * length]).view(samples, length) for shift in (0, 1))
        return torch.nn.functional.cross_entropy(model(inputs).logits.double().flatten(0, 1), targets.flatten()).item()

    def test_the_loss_is_the_same(self):
        for name in MODELS:
            path, ids = self.token_file(f"{name}-sample", ["--bytes"] if name == "full" else self.pieces)
            model = self.load(f"{name}-out", dtype=torch.float32)
            self.assertEqual(type(model).__name__, "LlamaForCausalLM" if name == "full" else "ColaForCausalLM")
            ours, theirs = self.evaluated(name, name, path), self.loss(model, ids)
            print(f"{name}: loss {ours:.6f}, in transformers {theirs:.7f}")
            self.assertAlmostEqual(ours, theirs, delta=2e-6)

    def test_bf16_is_loaded_as_bf16_and_holds_the_rounded_weights(self):
        for name in MODELS:
            self.call([CKPT, "export", "--format", "safetensors", "--dtype", "bf16", self.directory / name,
                       self.directory / f"{name}-bf16"], expect=0)
            model, rounded = self.load(f"{name}-bf16", dtype="auto"), self.load(f"{name}-out", dtype=torch.bfloat16)
            self.assertEqual(model.dtype, torch.bfloat16)
            for key, values in rounded.state_dict().items():
                self.assertTrue(torch.equal(model.state_dict()[key], values), f"{name}: {key}")
            path, ids = self.token_file(f"{name}-rounded", ["--bytes"] if name == "full" else self.pieces)
            self.call([CKPT, "import", self.directory / f"{name}-bf16", self.directory / f"{name}-rounded-run"], expect=0)
            self.assertAlmostEqual(self.evaluated(name, f"{name}-rounded-run", path), self.loss(model.float(), ids), delta=2e-6)

    def test_greedy_text_is_the_same(self):
        for name in MODELS:
            folder = self.directory / f"{name}-out"
            model, tokenizer = self.load(folder), AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
            for prompt in PROMPTS:
                done = self.call([harness.PROGRAMS / "cola_generate", "--checkpoint", self.directory / name, "--prompt", prompt,
                                  *(["--bytes"] if name == "full" else self.pieces), "--temperature", "0", "--tokens", "12",
                                  "--precision", "fp32"], expect=0)
                counts = tuple(map(int, re.match(r"(\d+) tokens after a prompt of (\d+)", done.stderr).groups()))
                inputs = tokenizer(prompt, return_tensors="pt")["input_ids"]
                for cache in (True, False):
                    made = model.generate(inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=12, do_sample=False,
                                          use_cache=cache)[0]
                    own = [id for id in made[inputs.shape[1]:].tolist() if id != tokenizer.eos_token_id]
                    self.assertEqual((tokenizer.decode(made, skip_special_tokens=True) + "\n", len(own), inputs.shape[1]),
                                     (done.stdout, *counts), f"{name}, cache {cache}")

    def test_tokens_are_the_same(self):
        # Imported weights do not say what they were trained with, and so take any tokenizer.
        self.call([CKPT, "import", self.directory / "cola-out", self.directory / "any"], expect=0)
        for kind in (None, *KINDS):
            options = ["--tokenizer", self.directory / f"{kind}.model"] if kind else ["--bytes"]
            _, ids = self.token_file(f"sample-{kind}", options)
            folder = self.directory / f"tokens-{kind}"
            self.call([CKPT, "export", "--format", "safetensors", *options, self.directory / "any", folder], expect=0)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
            self.assertEqual(ids, tokenizer(TEXT)["input_ids"] + [tokenizer.eos_token_id], kind)
            print(f"{kind or 'bytes'}: {len(ids)} tokens, in transformers the same")
            self.assertEqual((tokenizer.bos_token_id, tokenizer("")["input_ids"]), (tokenizer.eos_token_id, []))
            self.assertNotEqual(tokenizer.pad_token_id, None)

    def test_saved_models_return_and_are_trained_on(self):
        for name in MODELS:
            path, ids = self.token_file(f"{name}-again", ["--bytes"] if name == "full" else self.pieces)
            for dtype, size in ((torch.float32, "1GB"), (torch.float32, "20KB"), (torch.bfloat16, "20KB")):
                folder, back = self.directory / f"{name}-saved", f"{name}-back"
                model = self.load(f"{name}-out", dtype=dtype)
                model.save_pretrained(folder, max_shard_size=size)
                self.assertEqual(len(list(folder.glob("*.safetensors"))) > 1, size == "20KB")
                self.call([CKPT, "import", folder, self.directory / back], expect=0)
                if dtype == torch.float32:
                    done = self.call([CKPT, "diff", self.directory / name, self.directory / back])
                    self.assertNotIn(" weights: ", done.stdout)
                self.assertAlmostEqual(self.evaluated(name, back, path), self.loss(model.float(), ids), delta=2e-6)
                if size == "1GB":
                    start = self.directory / back / "checkpoints/step-00000000"
                    self.train("on", 2, *self.settings(name), more=["--resume", str(start)])
                    self.assertLess(self.losses("on")[0], 4.0, "it does not begin with what the model has learnt")
                    shutil.rmtree(self.directory / "on")
                shutil.rmtree(folder)
                shutil.rmtree(self.directory / back)


if __name__ == "__main__":
    harness.unittest.main()
