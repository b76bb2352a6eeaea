"""llama.cpp: a student as GGUF, for llama.cpp and what is built on it, and a Modelfile for Ollama.

llama.cpp turns neighboring channels of queries and keys, as model.py does, and splits text into words by one of the
patterns that it knows. That of Llama 3 differs from ours in numbers (three digits instead of two) and marks. It also
begins each text with the token of a document's beginning, as sample.py does.
"""

import logging
from pathlib import Path

import numpy as np
import tiktoken
from torch import ones

from miniature_memory.core.text import counted
from miniature_memory.exporting.arcee import EPSILON
from miniature_memory.training.tokenizer import Tokenizer
from miniature_memory.training.tokenizer_json import END_OF_TEXT, merges, spelled
from model import GPT, ROTARY_BASE, Block, norm

FILE = "model.gguf"
PRE_TOKENIZER = "llama-bpe"  # llama.cpp's name of the pattern; below as its llama-vocab.cpp has it
PATTERN = (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
MODELFILE = """\
FROM ./{file}
TEMPLATE {{{{ .Prompt }}}}
PARAMETER num_ctx {block_size}
PARAMETER stop {end_of_text}
"""


def write_gguf(model: GPT, tokenizer: Tokenizer, name: str, folder: Path) -> None:
    """Write model.gguf, in float32, and Modelfile. tokenizer: of the kind bpe."""
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType

    logging.getLogger("gguf").setLevel(logging.WARNING)  # it announces each file
    c, gains = model.config, ones(model.config.n_embd)
    writer = GGUFWriter(folder / FILE, "arcee")
    writer.add_name(name)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_context_length(c.block_size)
    writer.add_embedding_length(c.n_embd)
    writer.add_block_count(c.n_layer)
    writer.add_feed_forward_length(4 * c.n_embd)
    writer.add_head_count(c.n_head)
    writer.add_head_count_kv(c.n_head)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(c.n_embd // c.n_head)
    writer.add_rope_freq_base(ROTARY_BASE)
    writer.add_vocab_size(c.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    tokens = sorted(tokenizer.ranks, key=lambda token: tokenizer.ranks[token])
    writer.add_token_list([*map(spelled, tokens), END_OF_TEXT])
    writer.add_token_types([*[TokenType.NORMAL] * len(tokens), TokenType.CONTROL])
    writer.add_token_merges([f"{spelled(left)} {spelled(right)}" for left, right in merges(tokenizer.ranks)])
    writer.add_bos_token_id(tokenizer.eot_token)
    writer.add_eos_token_id(tokenizer.eot_token)
    writer.add_add_bos_token(True)
    tensors = {"token_embd": norm(model.embedding.table), "output_norm": gains, "output": model.head.weight}
    for i, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        q, k, v = block.attention.qkv.weight.chunk(3)
        layer = {"attn_norm": gains, "attn_q": q, "attn_k": k, "attn_v": v, "attn_output": block.attention.proj.weight,
                 "ffn_norm": gains, "ffn_up": block.mlp.up.weight, "ffn_down": block.mlp.proj.weight}
        tensors |= {f"blk.{i}.{part}": tensor for part, tensor in layer.items()}
    for part, tensor in tensors.items():
        writer.add_tensor(f"{part}.weight", tensor.detach().float().contiguous().numpy(),
                          raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "Modelfile").write_text(MODELFILE.format(
        file=FILE, block_size=c.block_size, end_of_text=END_OF_TEXT), encoding="utf-8")


def encoding(tokenizer: Tokenizer) -> tiktoken.Encoding:
    """The tokenizer as llama.cpp reads it."""
    return tiktoken.Encoding("llama.cpp", pat_str=PATTERN, mergeable_ranks=tokenizer.ranks, special_tokens={})


def compare_words(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    """How llama.cpp tokenizes the documents in `ids`, compared with us; in words."""
    theirs = encoding(tokenizer)
    sizes, n_texts, n_differing, n_tokens = tokenizer.token_bytes(), 0, 0, 0
    for document in np.split(ids, np.flatnonzero(ids == tokenizer.eot_token) + 1):
        document = document[document != tokenizer.eot_token]
        if not len(document):
            continue
        cut = np.array(theirs.encode_ordinary(tokenizer.decode(document)), np.int64)
        n = len(np.setxor1d(np.cumsum(sizes[document]), np.cumsum(sizes[cut])))  # ends that the other lacks
        n_texts, n_differing, n_tokens = n_texts + 1, n_differing + int(n > 0), n_tokens + n
    if not n_differing:
        return f"llama.cpp tokenizes {counted(n_texts, 'validation text')} as miniature-memory does"
    return (f"llama.cpp tokenizes {n_differing:,} of {counted(n_texts, 'validation text')} differently, at "
            f"{n_tokens / max(1, len(ids)):.1%} of the tokens")
