"""Stock: without its departures, is the model the architecture that model.py names? Compared with transformers.

    pip install --target DIR --no-deps transformers==4.57.1 "huggingface_hub<1.0" "tokenizers<0.23" safetensors \
        packaging pyyaml regex filelock fsspec
    .venv/bin/python -m bench.stock --peer DIR

Random weights with ngram_order = 1, match_order = 0 and qk_norm = False are put into transformers' ArceeForCausalLM
as an export would: the embedding's rows normalized, the channels of queries and keys in halves instead of pairs. Ends
in one JSON line with the largest difference of the logits.
"""

import argparse
import json
import sys

import torch
from torch import Tensor

from model import GPT, ROTARY_BASE, Block, GPTConfig, norm

CONFIG = GPTConfig(block_size=64, vocab_size=97, n_layer=3, n_head=2, n_embd=64, ngram_order=1, match_order=0,
                   qk_norm=False)


def in_halves(weight: Tensor) -> Tensor:
    """Move neighboring channels of each head, which turn together, to its first and its second half."""
    head_size = CONFIG.n_embd // CONFIG.n_head
    return weight.view(CONFIG.n_head, head_size // 2, 2, -1).transpose(1, 2).reshape(weight.shape)


def exported(model: GPT) -> dict[str, Tensor]:
    """The weights by transformers' names; its norms keep their gains of one."""
    weights = {"model.embed_tokens.weight": norm(model.embedding.table), "lm_head.weight": model.head.weight}
    for i, block in enumerate(model.blocks):
        prefix = f"model.layers.{i}."
        assert isinstance(block, Block)
        q, k, v = block.attention.qkv.weight.chunk(3)
        weights |= {f"{prefix}self_attn.q_proj.weight": in_halves(q), f"{prefix}self_attn.k_proj.weight": in_halves(k),
                    f"{prefix}self_attn.v_proj.weight": v,
                    f"{prefix}self_attn.o_proj.weight": block.attention.proj.weight,
                    f"{prefix}mlp.up_proj.weight": block.mlp.up.weight,
                    f"{prefix}mlp.down_proj.weight": block.mlp.proj.weight}
    return weights


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, metavar="DIR", help="where transformers is installed")
    sys.path.append(parser.parse_args().peer)
    from transformers import ArceeConfig, ArceeForCausalLM

    torch.manual_seed(0)
    ours = GPT(CONFIG)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    theirs = ArceeForCausalLM(ArceeConfig(
        vocab_size=CONFIG.vocab_size, hidden_size=CONFIG.n_embd, intermediate_size=4 * CONFIG.n_embd,
        num_hidden_layers=CONFIG.n_layer, num_attention_heads=CONFIG.n_head, num_key_value_heads=CONFIG.n_head,
        hidden_act="relu2", max_position_embeddings=CONFIG.block_size, rms_norm_eps=1e-12, rope_theta=ROTARY_BASE,
        rope_scaling=None, attention_bias=False, mlp_bias=False, tie_word_embeddings=False)).eval()
    missing = theirs.load_state_dict(exported(ours), strict=False)
    assert not missing.unexpected_keys and all("norm" in key for key in missing.missing_keys), missing
    idx = torch.randint(CONFIG.vocab_size, (4, CONFIG.block_size))
    logits = ours(idx)
    print(json.dumps({"bench": "stock", "largest_difference": float((logits - theirs(idx).logits).abs().max()),
                      "largest_logit": float(logits.abs().max())}))


if __name__ == "__main__":
    main()
