"""Tiny random models of many classes."""

from typing import Any

import torch
import transformers
from conftest import byte_tokenizer

from crossalign.models import LanguageModel, describe

COMMON = {
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
FEW_HEADS = {"num_key_value_heads": 2, "head_dim": 8}
GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 512}
LAYERS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
XGLM = {"d_model": 32, "ffn_dim": 64, "num_layers": 3, "attention_heads": 4, "init_std": 0.2}

CLASSES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {"num_key_value_heads": 2}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {"num_key_value_heads": 2}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", FEW_HEADS),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", FEW_HEADS | {"sliding_window": 256}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", FEW_HEADS | LAYERS | {"sliding_window": 256}),
    "mistral": ("MistralForCausalLM", "MistralConfig", {"num_key_value_heads": 2, "sliding_window": 256}),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {}),
    "bloom": ("BloomForCausalLM", "BloomConfig", {"n_layer": 3, "n_head": 4}),
    "xglm": ("XGLMForCausalLM", "XGLMConfig", XGLM),
    "opt": ("OPTForCausalLM", "OPTConfig", {"ffn_dim": 64, "init_std": 0.2, "word_embed_proj_dim": 32}),
    "phi": ("PhiForCausalLM", "PhiConfig", {}),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", {}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT2),
    "cohere": ("CohereForCausalLM", "CohereConfig", {"logit_scale": 0.25}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", FEW_HEADS | {"num_local_experts": 4}),
    "mamba": ("MambaForCausalLM", "MambaConfig", {"state_size": 4}),
}


WINDOWED = ["gemma2", "gemma3", "mistral"]
"""Those with layers that see a window."""


def random_model(name: str, **changes) -> LanguageModel:
    """One of the classes, its weights random but always the same."""
    model, config, settings = CLASSES[name]
    torch.manual_seed(0)
    made = getattr(transformers, model)(getattr(transformers, config)(**(COMMON | settings | changes)))
    return describe(made.eval(), byte_tokenizer(), "float32")


def longrope(**changes: Any) -> LanguageModel:
    """Texts beyond 64 tokens have other position factors, and give them to all of their batch."""
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [2.0, 3.0, 5.0, 8.0]}
    long = {"original_max_position_embeddings": 64}
    return random_model("phi3", rope_parameters=rope | long, **long, **changes)
