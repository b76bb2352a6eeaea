"""Settings of prepare and train."""

import re
from dataclasses import dataclass, field

from miniature_memory.core.config import setting

TOKENIZERS = ("bpe", "char", "byte")
MAX_VOCAB_SIZE = 65_536  # the bins are uint16
DTYPES = ("float32", "bfloat16", "float16")
HEAD_SIZE = 64  # channels of one attention head


@dataclass(frozen=True)
class StartConfig:
    """Of [train], what prepare needs to know."""

    init_from: str = setting("",
        "folder of a model for Hugging Face's transformers (made by export.py hf, or a NanoChatForCausalLM), from "
        "which a new model takes weights, shape and tokenizer; \"\": random weights")


@dataclass(frozen=True)
class PrepareConfig:
    tokenizer: str = setting("bpe", "bpe (trained on the dataset), char or byte")
    vocab_size: int = setting(2048, "maximum tokens of a bpe or char tokenizer, end of text included")
    freeze_bytes: int = setting(1_000_000,
        "bytes of clean text; below, tokenizer, bins and model are rebuilt whenever text is added")
    train: StartConfig = field(default_factory=StartConfig)  # whose tokenizer comes with it

    def __post_init__(self) -> None:
        if self.tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer = {self.tokenizer!r}; expected one of {', '.join(TOKENIZERS)}")
        if not 257 <= self.vocab_size <= MAX_VOCAB_SIZE:
            raise ValueError(f"vocab_size = {self.vocab_size}; expected 257 (the bytes and the end-of-text token) to "
                             f"{MAX_VOCAB_SIZE} (the bins are uint16)")


@dataclass(frozen=True)
class TrainConfig(StartConfig):
    size: str = setting("auto",
        "layers x width, such as \"4x256\"; auto: the largest that can be trained in max_minutes. This and the next "
        "five are fixed once there is a checkpoint")
    block_size: int = setting(256, "tokens the model can look back on", most=1 << 20)
    ngram_order: int = setting(2, "tokens of the longest n-gram with an embedding of its own; 1: single tokens",
                               most=16)
    ngram_rows: int = setting(65_536, "rows of the embedding table, which n-grams and matches share by a hash")
    match_order: int = setting(4,
        "tokens of the longest n-gram that is looked up earlier in the context; what followed it there has an "
        "embedding, too; 0: none", most=64)
    qk_norm: bool = setting(True,
        "normalize queries and keys; false, with ngram_order = 1 and match_order = 0: the stock architecture")
    dropout: float = setting(0.1, "share dropped of embeddings, n-grams and what the layers add")
    dropout_growth: float = setting(1.5,
        "how much more of n-grams and matches each further epoch drops, as a multiple of dropout, up to 0.7 in all")
    vocab_size: int = setting(0, "for bins without data/bins.json, such as nanoGPT's; 0: as in data/bins.json")
    batch_size: int = setting(4, "windows of block_size tokens processed at once", most=1 << 20)
    gradient_accumulation_steps: int = setting(1, "batches per optimizer step: larger steps without more memory")
    learning_rate: float = setting(2e-3, "for the layers' matrices, after warm-up and before decay", most=1)
    head_learning_rate: float = setting(1e-2, "for the matrix that makes logits", most=1)
    embedding_learning_rate: float = setting(0.2, "for the embedding table (Adagrad)", most=10)
    embedding_prior: float = setting(4000.0,
        "look-ups that each row of the table starts with; with more, rare n-grams are trusted less", most=1e30)
    weight_decay: float = setting(0.1, "for the layers' matrices", most=10)
    grad_clip: float = setting(1.0, "largest norm of the gradient; 0: no limit")
    warmup_iters: int = setting(50, "iterations in which the learning rate of a new model rises")
    # Haegele et al., arXiv 2405.18392, have 0.2; bench/growth.py
    decay_frac: float = setting(0.5,
        "share of a run's time (of max_iters, if set) in which the learning rate falls, for release.pt")
    max_minutes: float = setting(5.0, "minutes from start to release.pt, everything included; 0: no limit")
    max_iters: int = setting(0, "iterations in the model's whole life, as in nanoGPT; 0: no limit")
    max_epochs: int = setting(16, "how often the same text is read (arXiv 2305.16264); 0: no limit")
    # bench/growth.py: as good as 1, one seed
    replay_share: float = setting(0.25, "old windows per new one, after text was added")
    counts: bool = setting(True,
        "mix a release's network with counts of what followed where the same tokens stood before, in the training text "
        "and in the document; 2 % of the text only fit this mixture")
    eval_minutes: float = setting(1.0, "minutes between looks at the validation loss; each saves ckpt.pt first")
    keep_releases: int = setting(7, "how many releases stay (17 MB each) to be compared side by side")
    device: str = setting("auto", "cpu, cuda or mps; auto: the best available")
    dtype: str = setting("auto", "float32, bfloat16 or float16; auto: the fastest on this GPU, float32 on a CPU")
    memory_limit_mb: int = setting(2000, "training that would need more memory (MB) does not start", least=1)
    seed: int = setting(1337, "for the initial weights and the order of the text")

    def __post_init__(self) -> None:
        for name in ("block_size", "ngram_order", "ngram_rows", "batch_size", "gradient_accumulation_steps",
                     "learning_rate", "head_learning_rate", "embedding_learning_rate", "eval_minutes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected more than 0")
        for name in ("vocab_size", "match_order", "embedding_prior", "dropout_growth", "warmup_iters", "max_minutes",
                     "max_iters", "max_epochs", "replay_share", "keep_releases", "weight_decay", "grad_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed = {self.seed}; expected a whole number from 0 to {(1 << 63) - 1}")
        for name in ("dropout", "decay_frac"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more and less than 1")
        if self.size != "auto":
            shape_of(self.size)
        if not (self.max_minutes or self.max_iters or self.max_epochs):
            raise ValueError("max_minutes, max_iters and max_epochs are all 0; expected one of them to end the run")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", self.device):
            raise ValueError(f"device = {self.device!r}; expected auto, cpu, cuda, cuda:1 or mps")
        if self.dtype not in ("auto", *DTYPES):
            raise ValueError(f"dtype = {self.dtype!r}; expected auto, {', '.join(DTYPES)}")

    @property
    def tokens_per_iter(self) -> int:
        return self.batch_size * self.gradient_accumulation_steps * self.block_size

    @property
    def stable_iters(self) -> int:
        """The iteration at which decay begins when max_iters is given: the same, however often the run is resumed."""
        return self.max_iters - round(self.decay_frac * self.max_iters)


def shape_of(size: str) -> tuple[int, int, int]:
    """n_layer, n_head and n_embd of a size such as "4x256". Raises ValueError."""
    try:
        n_layer, n_embd = (int(part) for part in size.split("x"))
    except ValueError:
        raise ValueError(f'size = {size!r}; expected "auto" or layers x width, such as "4x256"') from None
    n_head = max(1, n_embd // HEAD_SIZE)
    if n_layer < 1 or n_embd < 2 or n_embd % (2 * n_head):
        raise ValueError(f"size = {size!r}; expected one layer or more, and an even width that is below {HEAD_SIZE} or "
                         "divides among its heads")
    return n_layer, n_head, n_embd
