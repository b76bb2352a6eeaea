"""Stock: without its departures, is the model the architecture that model.py names? Compared with transformers.

    pip install --target DIR --no-deps transformers==4.57.1 "huggingface_hub<1.0" "tokenizers<0.23" safetensors \
        packaging pyyaml regex filelock fsspec
    .venv/bin/python -m bench.stock --peer DIR

Random weights with ngram_order = 1, match_order = 0 and qk_norm = False are put into transformers' ArceeForCausalLM as
export.py student does. Ends in one JSON line with the largest difference of the logits.
"""

import argparse
import json
import sys

import torch

from miniature_memory.exporting.arcee import config_of, weights_of
from model import GPT, GPTConfig

CONFIG = GPTConfig(block_size=64, vocab_size=97, n_layer=3, n_head=2, n_embd=64, ngram_order=1, match_order=0,
                   qk_norm=False)


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
    theirs = ArceeForCausalLM(ArceeConfig(**config_of(CONFIG, CONFIG.vocab_size - 1))).eval()
    theirs.load_state_dict(weights_of(ours))
    idx = torch.randint(CONFIG.vocab_size, (4, CONFIG.block_size))
    logits = ours(idx)
    print(json.dumps({"bench": "stock", "largest_difference": float((logits - theirs(idx).logits).abs().max()),
                      "largest_logit": float(logits.abs().max())}))


if __name__ == "__main__":
    main()
