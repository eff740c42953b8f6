#!/usr/bin/env python3
"""Writes the golden fixtures of the model tests: tiny LLaMA models computed by PyTorch in double precision.

Run:  python3 tests/golden/make_fixtures.py [OUTPUT_DIRECTORY]      (needs PyTorch and h5py; Debian: python3-torch, python3-h5py)

The output (full.h5, cola.h5, cola_gated.h5) is deterministic for one PyTorch version and is committed; neither building nor
testing needs this script. It shares no code with the C++ sources: forward pass here, gradients by autograd.

Each file holds: the configuration as attributes of /, /input_ids and /targets [batch, sequence] int32 (-1: ignored),
/weights/NAME fp32, /logits [batch, sequence, vocab] fp64, /token_losses [batch, sequence] fp64, attributes loss_sum and
loss_mean (over the targets that are not ignored), and /gradients/NAME fp64: of the SUM of the losses.
"""
import pathlib
import sys

import h5py
import numpy
import torch
import torch.nn.functional as F

SHAPE = dict(vocab_size=50, hidden_size=32, intermediate_size=21, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=32, rms_norm_eps=1e-4, rope_theta=1000.0, rank=12)
MODELS = {
    "full": dict(SHAPE, projection="full", gate_activation=True),
    "cola_gated": dict(SHAPE, projection="cola", gate_activation=True),
    "cola": dict(SHAPE, projection="cola", gate_activation=False),
}
BATCH, SEQUENCE, IGNORED = 2, 16, -1


def projection_sizes(c):
    """[(name inside a block, in features, out features)] of the seven linear layers."""
    d, f = c["hidden_size"], c["intermediate_size"]
    kv = d // c["num_attention_heads"] * c["num_key_value_heads"]
    return [("self_attn.q_proj", d, d), ("self_attn.k_proj", d, kv), ("self_attn.v_proj", d, kv), ("self_attn.o_proj", d, d),
            ("mlp.gate_proj", d, f), ("mlp.up_proj", d, f), ("mlp.down_proj", f, d)]


def make_weights(c, generator):
    """Weights in fp32, large enough that every non-linearity matters; norm weights around 1. They are rounded to bf16
    first, so that a bf16 model can hold the very same ones and only its arithmetic is judged."""
    weights = {}

    def normal(name, shape, deviation, mean=0.0):
        weights[name] = (torch.randn(shape, generator=generator, dtype=torch.float64) * deviation + mean).bfloat16().float()

    normal("model.embed_tokens.weight", (c["vocab_size"], c["hidden_size"]), 0.5)
    for layer in range(c["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            normal(f"{prefix}{name}.weight", (c["hidden_size"],), 0.2, 1.0)
        for name, fan_in, fan_out in projection_sizes(c):
            if c["projection"] == "full":
                normal(f"{prefix}{name}.weight", (fan_out, fan_in), 0.8 * fan_in ** -0.5)
            else:
                normal(f"{prefix}{name}.cola_a", (c["rank"], fan_in), 0.8 * fan_in ** -0.5)
                normal(f"{prefix}{name}.cola_b", (fan_out, c["rank"]), 1.2 * c["rank"] ** -0.5)
    normal("model.norm.weight", (c["hidden_size"],), 0.2, 1.0)
    normal("lm_head.weight", (c["vocab_size"], c["hidden_size"]), 0.3)
    return weights


def rms_norm(x, weight, eps):
    return weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def rotary(x, theta):
    """x [batch, heads, sequence, head_dim]."""
    sequence, head_dim = x.shape[-2:]
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=x.dtype) / head_dim)
    angles = torch.outer(torch.arange(sequence, dtype=x.dtype), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return x * angles.cos() + rotate_half(x) * angles.sin()


class TinyLlama:
    def __init__(self, configuration, weights):
        self.c, self.w = configuration, weights

    def project(self, name, x):
        if self.c["projection"] == "full":
            return x @ self.w[name + ".weight"].T
        return F.silu(x @ self.w[name + ".cola_a"].T) @ self.w[name + ".cola_b"].T

    def attention(self, prefix, x):
        batch, sequence, width = x.shape
        heads, kv_heads = self.c["num_attention_heads"], self.c["num_key_value_heads"]

        def split(name, count):
            projected = self.project(f"{prefix}self_attn.{name}_proj", x)
            return projected.view(batch, sequence, count, width // heads).transpose(1, 2)

        q = rotary(split("q", heads), self.c["rope_theta"])
        k = rotary(split("k", kv_heads), self.c["rope_theta"]).repeat_interleave(heads // kv_heads, dim=1)
        v = split("v", kv_heads).repeat_interleave(heads // kv_heads, dim=1)
        scores = q @ k.transpose(-1, -2) * (width // heads) ** -0.5
        future = torch.ones(sequence, sequence, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.project(prefix + "self_attn.o_proj", mixed.transpose(1, 2).reshape(batch, sequence, width))

    def mlp(self, prefix, x):
        gate, up = self.project(prefix + "mlp.gate_proj", x), self.project(prefix + "mlp.up_proj", x)
        return self.project(prefix + "mlp.down_proj", (F.silu(gate) if self.c["gate_activation"] else gate) * up)

    def logits(self, ids):
        eps = self.c["rms_norm_eps"]
        x = self.w["model.embed_tokens.weight"][ids]
        for layer in range(self.c["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            x = x + self.attention(prefix, rms_norm(x, self.w[prefix + "input_layernorm.weight"], eps))
            x = x + self.mlp(prefix, rms_norm(x, self.w[prefix + "post_attention_layernorm.weight"], eps))
        return rms_norm(x, self.w["model.norm.weight"], eps) @ self.w["lm_head.weight"].T


def write_fixture(path, configuration, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = make_weights(configuration, generator)
    ids = torch.randint(configuration["vocab_size"], (BATCH, SEQUENCE), generator=generator)
    targets = torch.randint(configuration["vocab_size"], (BATCH, SEQUENCE), generator=generator)
    targets[0, 3] = targets[1, 0] = IGNORED
    targets[1, -5:] = IGNORED

    leaves = {name: value.double().requires_grad_() for name, value in weights.items()}
    logits = TinyLlama(configuration, leaves).logits(ids)
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    losses.sum().backward()

    with h5py.File(path, "w") as file:
        for key, value in configuration.items():
            file.attrs[key] = numpy.bytes_(value) if isinstance(value, str) else numpy.array(
                value, dtype="f8" if isinstance(value, float) else "i8")
        file.attrs["loss_sum"] = losses.sum().item()
        file.attrs["loss_mean"] = losses.sum().item() / (targets != IGNORED).sum().item()
        arrays = {"input_ids": ids.int(), "targets": targets.int(), "logits": logits,
                  "token_losses": losses.view(BATCH, SEQUENCE)}
        arrays.update({"weights/" + name: value for name, value in weights.items()})
        arrays.update({"gradients/" + name: value.grad for name, value in leaves.items()})
        for name, value in arrays.items():
            file.create_dataset(name, data=value.detach().numpy(), track_times=False)


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    torch.set_num_threads(1)
    for seed, (name, configuration) in enumerate(MODELS.items(), start=1):
        write_fixture(directory / f"{name}.h5", configuration, seed)


if __name__ == "__main__":
    main()
