"""Arcee: a model without n-grams, matches and QK-norm as transformers' ArceeForCausalLM, after Arcee's AFM.

The embedding's rows are normalized once instead of at each look-up, the norms have gains of one, and the channels of
queries and keys that turn together stand in halves instead of in pairs.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor, ones

from miniature_memory.exporting.tokenizer_json import write_tokenizer
from miniature_memory.training.tokenizer import Tokenizer
from model import GPT, ROTARY_BASE, Block, GPTConfig, norm

EPSILON = 1e-12  # of the norms: model.py's is too small to matter


def in_halves(weight: Tensor, n_head: int) -> Tensor:
    """Move neighboring channels of each head to its first and its second half."""
    return weight.view(n_head, -1, 2, weight.size(1)).transpose(1, 2).reshape(weight.shape)


def weights_of(model: GPT) -> dict[str, Tensor]:
    """float32, by transformers' names."""
    c, gains = model.config, ones(model.config.n_embd)
    weights = {"model.embed_tokens.weight": norm(model.embedding.table), "model.norm.weight": gains,
               "lm_head.weight": model.head.weight}
    for i, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        q, k, v = block.attention.qkv.weight.chunk(3)
        layer = {"input_layernorm": gains, "post_attention_layernorm": gains,
                 "self_attn.q_proj": in_halves(q, c.n_head), "self_attn.k_proj": in_halves(k, c.n_head),
                 "self_attn.v_proj": v, "self_attn.o_proj": block.attention.proj.weight,
                 "mlp.up_proj": block.mlp.up.weight, "mlp.down_proj": block.mlp.proj.weight}
        weights |= {f"model.layers.{i}.{name}.weight": weight for name, weight in layer.items()}
    return {name: weight.detach().float().contiguous().clone() for name, weight in weights.items()}


def config_of(config: GPTConfig, eot_token: int) -> dict[str, Any]:
    """The content of config.json."""
    return {
        "architectures": ["ArceeForCausalLM"], "model_type": "arcee", "dtype": "float32",
        "vocab_size": config.vocab_size, "hidden_size": config.n_embd, "intermediate_size": 4 * config.n_embd,
        "num_hidden_layers": config.n_layer, "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_head, "head_dim": config.n_embd // config.n_head, "hidden_act": "relu2",
        "max_position_embeddings": config.block_size, "rms_norm_eps": EPSILON, "rope_theta": ROTARY_BASE,
        "rope_scaling": None, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False,
        "bos_token_id": eot_token, "eos_token_id": eot_token,
    }


def write_transformers(model: GPT, tokenizer: Tokenizer, folder: Path) -> None:
    """Write what from_pretrained(folder) of AutoModelForCausalLM and AutoTokenizer reads."""
    from safetensors.torch import save

    content = json.dumps(config_of(model.config, tokenizer.eot_token), indent=1) + "\n"
    (folder / "config.json").write_text(content, encoding="utf-8")
    (folder / "model.safetensors").write_bytes(save(weights_of(model), {"format": "pt"}))
    write_tokenizer(tokenizer, folder)
