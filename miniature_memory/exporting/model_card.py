"""The model card: README.md with the front matter that Hugging Face's hub reads, and what a reader has to know."""

from pathlib import Path
from typing import Any

from miniature_memory.core.text import counted, rounded, timestamp
from miniature_memory.core.version import VERSION
from miniature_memory.exporting.card import Facts, front_matter, plain
from miniature_memory.storage.disk import in_words
from miniature_memory.training.tokenizer import Tokenizer

TEXT = """
# {topic}

A language model of {parameters} parameters that continues texts on the topic "{topic}". {origin}
Made with miniature-memory {version} on {day}.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder", trust_remote_code=True)
prompt = tokenizer("<|endoftext|>The ", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt)[0]))
```

A document begins after `<|endoftext|>`, and so should a prompt. `trust_remote_code` runs the two Python files of this
folder: `model.py` is the architecture, `modeling_miniature_memory.py` makes it a model of transformers.

## The model

| | |
|---|---|
{rows}

{bits}

Layers of attention and squared ReLU with rotary positions follow an embedding that adds rows for n-grams and for
tokens that followed earlier in the context; `model.py` explains them.

## What it learned from

{tables}

## Licenses

The texts belong to their authors. The table above counts licenses as the pages name them, which was not verified;
"none named" means all rights reserved unless the author says otherwise. A small model repeats passages of its training
text word for word. Consider both before you publish this model or what it writes.

## Limits

- It continues text and does not chat, answer or follow instructions. What it writes reads like its texts and is not
  meant to be true.
- Nobody has read its texts: they may be wrong, biased, offensive or out of date, and so may what it writes.
- It sees {block_size} tokens at a time, computes in float32, and has no cache: each new token reads all of them again.
- Its gradients are sparse where n-grams are looked up, so most optimizers cannot train it further here.
  miniature-memory can, with `train.init_from` set to this folder.
"""
FROM_NOTHING = "It was trained from random weights on {text}, and on nothing else."
FROM_ANOTHER = "It began as the model {name}, whose own training text is not known here, and learned from {text}."
MIXED = """\
It predicts validation text at {network:.3f} bits per byte. In miniature-memory the same network is mixed with counts of
its training text and reaches {whole:.3f}; the counts need that text and are not part of this folder."""


def model_card(release: dict[str, Any], tokenizer: Tokenizer, facts: Facts, n_parameters: int) -> str:
    """release: what release.pt holds. facts: of the documents that the root has now."""
    args = release["model_args"]
    rows = {"layers x width": f"{args['n_layer']} x {args['n_embd']}, {counted(args['n_head'], 'head')}",
            "context": counted(args["block_size"], "token"),
            "vocabulary": f"{tokenizer.vocab_size:,} tokens ({tokenizer.kind}, on bytes)",
            "training": f"{counted(release['iter_num'], 'iteration')}, {rounded(release['tokens_seen'])} tokens read"}
    text = f"{counted(facts.documents.total(), 'document')} with {in_words(facts.text_bytes.total())} of text"
    origin = (FROM_ANOTHER if release.get("init_from") else FROM_NOTHING).format(
        name=plain(Path(release.get("init_from", "")).name), text=text)
    head = {"language": facts.language_codes(), "license": "other", "license_name": "as-each-page-names-it",
            "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["miniature-memory"]}
    return front_matter(head) + TEXT.format(
        topic=plain(facts.topic), parameters=rounded(n_parameters), version=VERSION, day=timestamp()[:10],
        rows="\n".join(f"| {name} | {value} |" for name, value in rows.items()), bits=_bits(release["scores"]),
        tables=facts.tables(), block_size=args["block_size"], origin=origin)


def _bits(scores: dict[str, float | None]) -> str:
    """The figures: the network's, and the release's if that is mixed with counts."""
    whole, network = scores.get("val_bpb"), scores.get("val_bpb_network")
    if whole is None:
        return "Its loss on validation text was not measured in bits per byte."
    if network is None:
        return f"It predicts validation text at {whole:.3f} bits per byte."
    return MIXED.format(network=network, whole=whole)
