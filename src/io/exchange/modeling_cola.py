"""CoLA models (arXiv 2502.10940) for Hugging Face's transformers; stands beside the weights of each that is exported.

A CoLA model is a LLaMA, each linear layer of whose blocks is an auto-encoder: y = B silu(A x). With this file in its
folder, AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True) loads it.
"""
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM


class ColaConfig(LlamaConfig):
    model_type = "cola_llama"
    base_model_tp_plan = None  # LLaMA's splits layers that are not here

    def __init__(self, projection="cola", rank=None, gate_activation=True, **keys):
        self.projection = projection
        self.gate_activation = gate_activation
        super().__init__(**keys)
        self.rank = rank or max(self.hidden_size // 4, 1)


class ColaProjection(nn.Module):
    """y = B silu(A x): A is [rank, in], B [out, rank]."""

    def __init__(self, inputs, outputs, rank):
        super().__init__()
        self.cola_a = nn.Parameter(torch.empty(rank, inputs))
        self.cola_b = nn.Parameter(torch.empty(outputs, rank))

    def forward(self, x):
        narrow = nn.functional.silu(nn.functional.linear(x, self.cola_a))
        return nn.functional.linear(narrow, self.cola_b)


class ColaForCausalLM(LlamaForCausalLM):
    config_class = ColaConfig

    def __init__(self, config):
        super().__init__(config)
        for block in self.model.layers:
            for part in (block.self_attn, block.mlp):
                for name, linear in list(part.named_children()):
                    if isinstance(linear, nn.Linear):
                        setattr(part, name, ColaProjection(linear.in_features, linear.out_features, config.rank))
            if not config.gate_activation:
                block.mlp.act_fn = nn.Identity()
        self.post_init()

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, ColaProjection):
            rank, widths = module.cola_a.shape[0], module.cola_a.shape[1] + module.cola_b.shape[0]
            for factor in (module.cola_a, module.cola_b):
                nn.init.normal_(factor, std=(rank * widths) ** -0.25)


ColaConfig.register_for_auto_class()
ColaForCausalLM.register_for_auto_class("AutoModelForCausalLM")
