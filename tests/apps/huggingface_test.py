"""Folders for Hugging Face's tools: what export writes is a LLaMA as transformers defines it, and import takes theirs."""
import json
import math
import re
import shutil
import struct

import harness

CKPT = harness.PROGRAMS / "cola_ckpt"
FULL = ["model.projection=full", "schedule.total_steps=60", "checkpoint.every=60", "optimizer.lr=1.0e-2"]


def read_safetensors(path):
    """name: (shape, values) of each fp32 tensor."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8:8 + size]), content[8 + size:]
    header.pop("__metadata__")
    return {name: (entry["shape"], struct.unpack(f"<{math.prod(entry['shape'])}f", data[slice(*entry["data_offsets"])]))
            for name, entry in header.items()}


def half(value):
    return struct.pack("<e", value)


def brain(value):
    """The upper half of the fp32, rounded to even as torch does it."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return struct.pack("<H", (bits + 0x7fff + (bits >> 16 & 1)) >> 16)


def write_safetensors(path, tensors, dtype, pack):
    """As the safetensors package does it: without checksums, tensors in the order of their names."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in sorted(tensors.items()):
        bytes_of_tensor = b"".join(pack(value) for value in values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(bytes_of_tensor)]}
        data += bytes_of_tensor
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class Llama:
    """LlamaForCausalLM of transformers, from its definition, in plain Python."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = read_safetensors(folder / "model.safetensors")

    def linear(self, name, rows):
        (outs, ins), weight = self.tensors[name + ".weight"]
        return [[sum(map(float.__mul__, row, weight[out * ins:(out + 1) * ins])) for out in range(outs)] for row in rows]

    def norm(self, name, rows):
        weight = self.tensors[name + ".weight"][1]
        scales = [1 / math.sqrt(sum(x * x for x in row) / len(row) + self.config["rms_norm_eps"]) for row in rows]
        return [[x * scale * w for x, w in zip(row, weight)] for row, scale in zip(rows, scales)]

    def rotate(self, head, position):
        half_width = len(head) // 2
        angles = [position * self.config["rope_theta"] ** (-2 * i / len(head)) for i in range(half_width)]
        return ([head[i] * math.cos(a) - head[i + half_width] * math.sin(a) for i, a in enumerate(angles)] +
                [head[i + half_width] * math.cos(a) + head[i] * math.sin(a) for i, a in enumerate(angles)])

    def attention(self, prefix, rows):
        heads, kv_heads, width = (self.config[key] for key in ("num_attention_heads", "num_key_value_heads", "head_dim"))
        query, key, value = (self.linear(f"{prefix}.{name}_proj", rows) for name in "qkv")
        split = [[[row[h * width:(h + 1) * width] for h in range(len(row) // width)] for row in part] for part in (query, key, value)]
        for part in split[:2]:
            part[:] = [[self.rotate(head, position) for head in row] for position, row in enumerate(part)]
        query, key, value = split
        result = []
        for position, row in enumerate(query):
            mixed = []
            for h, head in enumerate(row):
                kv = h * kv_heads // heads
                scores = [sum(map(float.__mul__, head, key[t][kv])) / math.sqrt(width) for t in range(position + 1)]
                weights = [math.exp(score - max(scores)) for score in scores]
                mixed += [sum(w * value[t][kv][i] for t, w in enumerate(weights)) / sum(weights) for i in range(width)]
            result.append(mixed)
        return self.linear(f"{prefix}.o_proj", result)

    def mlp(self, prefix, rows):
        gate, up = self.linear(f"{prefix}.gate_proj", rows), self.linear(f"{prefix}.up_proj", rows)
        return self.linear(f"{prefix}.down_proj", [[g / (1 + math.exp(-g)) * u for g, u in zip(*pair)] for pair in zip(gate, up)])

    def logits(self, ids):
        add = lambda a, b: [[x + y for x, y in zip(*pair)] for pair in zip(a, b)]
        (_, width), table = self.tensors["model.embed_tokens.weight"]
        rows = [list(table[i * width:(i + 1) * width]) for i in ids]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}"
            rows = add(rows, self.attention(f"{prefix}.self_attn", self.norm(f"{prefix}.input_layernorm", rows)))
            rows = add(rows, self.mlp(f"{prefix}.mlp", self.norm(f"{prefix}.post_attention_layernorm", rows)))
        return self.linear("lm_head", self.norm("model.norm", rows))

    def loss(self, ids):
        """The mean over all ids but the first, each after those before it."""
        losses = [math.log(sum(map(math.exp, row))) - row[target] for row, target in zip(self.logits(ids[:-1]), ids[1:])]
        return sum(losses) / len(losses)


class HuggingFace(harness.TrainingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("full", 2, *FULL)
        cls.folder = cls.directory / "exported"
        cls.call([CKPT, "export", "--format", "safetensors", cls.directory / "full", cls.folder], expect=0)

    def imported(self, source, name, *more, expect=0):
        return self.call([CKPT, "import", *more, source, self.directory / name], expect=expect)

    def like_exported(self, name):
        shutil.copytree(self.folder, self.directory / name)
        return self.directory / name

    def evaluated(self, checkpoint, *settings):
        done = self.train("evaluated", None, *FULL, *settings, more=["--evaluate", "--resume", str(checkpoint)])
        return float(re.search(r"validation loss ([0-9.]+)", done.stdout)[1])

    def test_a_full_rank_model_is_a_llama(self):
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
        config = json.loads((self.folder / "config.json").read_text())
        self.assertEqual((config["architectures"], config["model_type"], config["tie_word_embeddings"], config["hidden_act"]),
                         (["LlamaForCausalLM"], "llama", False, "silu"))
        heads = [f"{name}_proj" for name in "qkvo"]
        wanted = {"model.embed_tokens.weight": [258, 32], "model.norm.weight": [32], "lm_head.weight": [258, 32]}
        for layer in (f"model.layers.{number}." for number in range(2)):
            wanted.update({layer + "input_layernorm.weight": [32], layer + "post_attention_layernorm.weight": [32]})
            wanted.update({f"{layer}self_attn.{name}.weight": [32 if name[0] in "qo" else 16, 32] for name in heads})
            wanted.update({f"{layer}mlp.{name}_proj.weight": [45, 32] for name in ("gate", "up")})
            wanted[f"{layer}mlp.down_proj.weight"] = [32, 45]
        self.assertEqual({name: shape for name, (shape, _) in read_safetensors(self.folder / "model.safetensors").items()}, wanted)

    def test_it_computes_what_transformers_would(self):
        text = self.directory / "sample.txt"
        text.write_text("the sea remembers a long song. a lamp measures the morning, here")
        ids = [*text.read_bytes(), 256]
        self.assertEqual(len(ids), 65)  # two samples of 32, and the last one's target
        self.call([harness.PROGRAMS / "cola_data", "tokenize", "--input", text, "--output", self.directory / "sample", "--bytes",
                   "--document-bytes", "0", "--validation-fraction", "0"], expect=0)
        llama = Llama(self.folder)
        wanted = (llama.loss(ids[:33]) + llama.loss(ids[32:])) / 2
        loss = self.evaluated(self.directory / "full", f"data.validation=[{self.directory}/sample/train-00000.h5]")
        self.assertAlmostEqual(loss, wanted, delta=2e-6)

    def test_it_returns_and_is_trained_on(self):
        done = self.imported(self.folder, "back")
        self.assertIn(f"--resume {self.directory}/back/checkpoints/step-00000000", done.stdout)
        difference = self.call([CKPT, "diff", self.directory / "full", self.directory / "back"], expect=1).stdout
        self.assertNotIn(" weights: ", difference)
        self.assertEqual(self.evaluated(self.directory / "back"), self.evaluated(self.directory / "full"))
        done = self.train("on", 2, *FULL, more=["--resume", str(self.directory / "back/checkpoints/step-00000000")])
        self.assertNotIn("changed since", done.stdout)
        self.assertLess(self.losses("on")[0], 5.0, "it does not begin with what the model has learnt")
        done = self.train("theta", 2, *FULL, "model.rope_theta=5000", expect=2,
                          more=["--resume", str(self.directory / "back/checkpoints/step-00000000")])
        self.assertIn("model.rope_theta 10000 -> 5000", done.stderr)

    def test_models_of_other_programs_are_taken_in_each_type(self):
        tensors = read_safetensors(self.folder / "model.safetensors")
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = ([4], (1.0, 0.1, 0.01, 0.001))  # of old transformers
        wanted = self.evaluated(self.directory / "full")
        for dtype, pack in (("F16", half), ("BF16", brain), ("F32", lambda value: struct.pack("<f", value))):
            folder = self.like_exported(f"folder-{dtype}")
            write_safetensors(folder / "model.safetensors", tensors, dtype, pack)
            self.imported(folder / "model.safetensors" if dtype == "F16" else folder, dtype)
            self.assertAlmostEqual(self.evaluated(self.directory / dtype), wanted, delta=0 if dtype == "F32" else 0.01)

    def test_an_export_in_bf16_is_what_rounding_makes_and_half_as_large(self):
        export = [CKPT, "export", "--dtype", "bf16", "--format", "safetensors", self.directory / "full"]
        self.call([*export, self.directory / "bf16"], expect=0)
        whole, rounded = self.folder, self.directory / "bf16"
        config = json.loads((whole / "config.json").read_text())
        self.assertEqual(config["torch_dtype"], "float32")
        self.assertEqual(json.loads((rounded / "config.json").read_text()), {**config, "torch_dtype": "bfloat16"})
        content = (rounded / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        header, data = json.loads(content[8:8 + size]), content[8 + size:]
        for name, (shape, values) in read_safetensors(whole / "model.safetensors").items():
            self.assertEqual((header[name]["dtype"], header[name]["shape"]), ("BF16", shape))
            self.assertEqual(data[slice(*header[name]["data_offsets"])], b"".join(map(brain, values)), name)
        self.imported(rounded, "rounded")
        self.assertNotEqual(self.evaluated(self.directory / "rounded"), self.evaluated(self.directory / "full"))
        self.call([*export[:-1], self.directory / "rounded", self.directory / "again"], expect=0)
        self.assertEqual((self.directory / "again/model.safetensors").read_bytes()[-len(data):], data)

    def test_weights_may_lie_in_several_files(self):
        folder = self.like_exported("split")
        (folder / "model.safetensors").unlink()
        tensors, parts = read_safetensors(self.folder / "model.safetensors"), {}
        for number, name in enumerate(tensors):
            parts.setdefault(f"model-0000{number % 2 + 1}-of-00002.safetensors", {})[name] = tensors[name]
        places = {name: part for part, held in parts.items() for name in held}
        for part, held in parts.items():
            write_safetensors(folder / part, held, "F32", lambda value: struct.pack("<f", value))

        def indexed(index, expect):
            (folder / "model.safetensors.index.json").write_text(index)
            return self.imported(folder, "joined", expect=expect).stderr

        self.assertIn("split/model.safetensors.index.json: has no weight_map", indexed("{}", 1))
        self.assertIn("lm_head.weight is in \"../x\", which is no file's name",
                      indexed(json.dumps({"weight_map": {"lm_head.weight": "../x"}}), 1))
        other = next(part for part in parts if part != places["lm_head.weight"])
        self.assertIn(f"split/{other}: has no tensor lm_head.weight",
                      indexed(json.dumps({"weight_map": {**places, "lm_head.weight": other}}), 1))
        self.assertRegex(indexed(json.dumps({"weight_map": {**places, "made.up": other}}), 1),
                         f"split/{other}: has no tensor made.up|holds made.up, which the model does not have")
        self.assertIn("split/model.safetensors.index.json: lacks lm_head.weight, which ",
                      indexed(json.dumps({"weight_map": {name: places[name] for name in places if name[0] != "l"}}), 1))
        self.assertFalse((self.directory / "joined").exists())
        indexed(json.dumps({"metadata": {"total_size": 0}, "weight_map": places}), 0)
        self.assertNotIn(" weights: ", self.call([CKPT, "diff", self.directory / "full", self.directory / "joined"]).stdout)

    def test_what_does_not_fit_is_named_and_nothing_is_made(self):
        tensors = read_safetensors(self.folder / "model.safetensors")
        name = "model.layers.1.mlp.up_proj.weight"

        def refused(change, fragment, config=None):
            folder = self.like_exported("unfit")
            changed = dict(tensors)
            change(changed)
            write_safetensors(folder / "model.safetensors", changed, "F16", half)
            if config:
                settings = json.loads((folder / "config.json").read_text())
                (folder / "config.json").write_text(json.dumps({**settings, **config}))
            done = self.imported(folder, "unfit-made", expect=1)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(fragment, done.stderr)
            self.assertFalse((self.directory / "unfit-made").exists())
            shutil.rmtree(folder)

        refused(lambda all: all.pop(name), f"unfit: has no tensor {name}")
        refused(lambda all: all.update({name: ([32, 45], all[name][1])}), f"unfit: {name} is [32, 45], the model needs [45, 32]")
        refused(lambda all: all.update({"model.layers.1.mlp.up_proj.bias": ([1], (0.0,))}),
                "unfit: holds model.layers.1.mlp.up_proj.bias, which the model does not have")
        refused(lambda all: None, "unfit: holds model.layers.1.", {"num_hidden_layers": 1})
        refused(lambda all: None, "config.json: tie_word_embeddings is true", {"tie_word_embeddings": True})

    def test_damaged_files_are_named_and_nothing_is_made(self):
        whole = (self.folder / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", whole[:8])[0]

        def refused(content, fragment):
            folder = self.like_exported("damaged")
            (folder / "model.safetensors").write_bytes(content)
            done = self.imported(folder, "damaged-made", expect=1)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertRegex(done.stderr, fragment)
            self.assertFalse((self.directory / "damaged-made").exists())
            shutil.rmtree(folder)

        refused(b"", "model.safetensors: is no safetensors file: it has 0 bytes")
        refused(whole[:size], "or was cut short: a header of ")
        refused(whole[:-1], "do not lie in the [0-9]+ bytes of data")
        refused(whole + b"x", "its last 1 bytes belong to no tensor")
        refused(struct.pack("<Q", 1 << 63) + whole[8:], "a header of 9223372036854775808 bytes in a file of ")
        refused(whole[:8] + b"[" + whole[9:], "its header is no JSON object")
        deep = b'{"__metadata__":' + b"[" * 400_000 + b"]" * 400_000 + b"}"
        refused(struct.pack("<Q", len(deep)) + deep, "its header is no JSON object")
        flipped = bytearray(whole)
        flipped[-5] ^= 4
        refused(bytes(flipped), "lm_head.weight is damaged or was changed")
        (self.directory / "damaged").mkdir()
        (self.directory / "damaged/model.safetensors").write_bytes(whole)
        self.assertIn("has no config.json beside it to say what model it holds; --like CHECKPOINT",
                      self.imported(self.directory / "damaged", "damaged-made", expect=1).stderr)
        self.imported(self.directory / "damaged", "liked", "--like", self.directory / "full")
        shutil.rmtree(self.directory / "damaged")

    def test_the_name_of_the_output_chooses_the_format_and_what_an_interrupted_export_left_is_in_nobodys_way(self):
        export = [CKPT, "export", self.directory / "full"]
        self.call([*export, self.directory / "named.safetensors"], expect=0)
        self.assertEqual(read_safetensors(self.directory / "named.safetensors"), read_safetensors(self.folder / "model.safetensors"))
        refused = self.call([*export, "--format", "hdf5", self.directory / "other.safetensors"], expect=2)
        self.assertIn("its name says safetensors", refused.stderr)
        left = self.directory / "left"
        left.mkdir()
        (left / "model.safetensors.tmp").write_text("half of it")
        self.call([*export, "--format", "safetensors", left], expect=0)
        self.assertFalse((left / "model.safetensors.tmp").exists())
        (left / "special_tokens_map.json").write_text("{}")  # of another tokenizer
        self.assertIn("is there already", self.call([*export, "--format", "safetensors", left], expect=2).stderr)
        self.call([*export, "--format", "safetensors", "--force", left], expect=0)
        self.assertFalse((left / "special_tokens_map.json").exists())

    def test_cola_does_not_pass_for_a_llama_and_returns(self):
        self.train("cola", 2, "schedule.total_steps=5")
        self.call([CKPT, "export", "--format", "safetensors", self.directory / "cola", self.directory / "cola-out"], expect=0)
        config = json.loads((self.directory / "cola-out/config.json").read_text())
        self.assertEqual(config["architectures"], ["ColaForCausalLM"])
        code = (harness.pathlib.Path(__file__).resolve().parents[2] / "src/io/exchange/modeling_cola.py").read_text()
        self.assertEqual((self.directory / "cola-out/modeling_cola.py").read_text(), code)
        self.assertEqual([config[key] for key in ("model_type", "projection", "rank", "gate_activation")],
                         ["cola_llama", "cola", 12, True])
        self.imported(self.directory / "cola-out", "cola-back")
        self.assertNotIn(" weights: ", self.call([CKPT, "diff", self.directory / "cola", self.directory / "cola-back"]).stdout)


if __name__ == "__main__":
    harness.unittest.main()
