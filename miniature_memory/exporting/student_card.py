"""The student's card: README.md with the front matter that Hugging Face reads, and what a reader has to know."""

from dataclasses import dataclass

from miniature_memory.core.text import rounded, timestamp
from miniature_memory.core.version import VERSION
from miniature_memory.exporting import card
from model import GPTConfig

TEXT = """
# {topic}: a student

A language model of {parameters} parameters on the topic "{topic}", made with miniature-memory {version} on {day}. It
continues texts in the manner of those it learned from; it answers no questions and knows nothing else. It reads the
last {block_size} tokens.

| model | bits per byte of the validation text |
|---|---|
| this student, taught for {minutes:g} min | {bpb} |
| the full model, which taught it | {full_bpb} |

The full model runs in miniature-memory only: it has n-gram embeddings, looks up what followed where the same tokens
occurred earlier, and is mixed with counts of the text. The student has the stock architecture of Arcee's AFM, {n_layer}
layers of {n_embd}. It learned half from the text and half from the predictions of the full model's network.

## Use

```python
from transformers import pipeline

write = pipeline("text-generation", "path/to/this/folder")
print(write("<|endoftext|>The", max_new_tokens=100, do_sample=True)[0]["generated_text"])
```

A text begins after the end of another, hence `<|endoftext|>`.{llama_cpp}

{texts}## Limits

- It is small: what it writes resembles its texts and is not true.
- It may repeat passages of its texts word for word. They belong to their authors: check their licenses before you
  publish it.
- Nobody has read all of the texts: they may be wrong, biased, offensive or hold personal data.
"""
LLAMA_CPP = """

```
llama-completion -m model.gguf -p "The" -n 100 -no-cnv
ollama create student -f Modelfile && ollama run student "The"
```

Both add `<|endoftext|>` themselves. The weights in `model.gguf` are the same float32 numbers;
{words}."""

TEXTS = """\
## What it learned from

{tables}

The table counts licenses as the pages name them, which was not verified; "none named" means all rights reserved unless
the author says otherwise.

"""


@dataclass
class Facts:
    """What the card says about a student."""

    texts: card.Facts  # of the documents that the root has now
    shape: GPTConfig
    n_parameters: int
    minutes: float
    bpb: float | None
    full_bpb: float | None
    words: str  # how llama.cpp tokenizes; "": it cannot

    def describe(self) -> str:
        return (f"{self.shape.n_layer} layers of {self.shape.n_embd}, {_figure(self.bpb)} bits per byte after "
                f"{self.minutes:g} min (the full model: {_figure(self.full_bpb)})")


def student_card(facts: Facts) -> str:
    texts, shape = facts.texts, facts.shape
    values = {"language": texts.language_codes(), "library_name": "transformers", "pipeline_tag": "text-generation",
              "license": "other", "license_name": "as-each-page-names-it"}
    return card.front_matter(values) + TEXT.format(
        topic=card.plain(texts.topic), parameters=rounded(facts.n_parameters), version=VERSION, day=timestamp()[:10],
        block_size=shape.block_size, minutes=facts.minutes, bpb=_figure(facts.bpb), full_bpb=_figure(facts.full_bpb),
        n_layer=shape.n_layer, n_embd=shape.n_embd,
        texts=TEXTS.format(tables=texts.tables()) if texts.documents else "",
        llama_cpp=LLAMA_CPP.format(words=facts.words) if facts.words else "")


def _figure(bpb: float | None) -> str:
    return "not measured" if bpb is None else f"{bpb:.3f}"
