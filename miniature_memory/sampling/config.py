"""Settings of sample."""

import math
from dataclasses import dataclass

from miniature_memory.core.config import setting

KEPT_PROMPTS = 3  # that the report shows
LEAST_COPIED = 6  # tokens that are looked up at once, counting.experts.LONGEST
MOST_CHARS = 360  # of a kept prompt


@dataclass(frozen=True)
class SampleConfig:
    prompt: str = setting("", "the beginning of each sample; also --prompt and --prompt-file")
    num_samples: int = setting(3, "samples to print")
    max_new_tokens: int = setting(200, "maximum tokens per sample, which ends earlier if the model ends the document")
    temperature: float = setting(0.8, "lower is more predictable, higher more varied; 0: always the most likely token")
    top_k: int = setting(50, "choose among this many of the most likely tokens; 0: among all")
    top_p: float = setting(1.0,
        "and among the most likely ones that together reach this probability")  # Holtzman et al., arXiv 1904.09751
    min_p: float = setting(0.0,
        "and among those with at least this share of the highest probability")  # Nguyen et al., arXiv 2407.01082
    repetition_penalty: float = setting(1.0,
        "above 1: tokens in the context are less likely to recur")  # CTRL, arXiv 1909.05858
    max_copied_tokens: int = setting(0,
        "maximum tokens in a row (6 or more) that may be copied from a training document; for models with counts; 0: "
        "no limit")
    stop: list[str] = setting([], "a sample ends before the first of these texts, such as [\"\\n\\n\"]")
    seed: int = setting(1337, "the same seed prints the same samples; the second sample uses the next seed, and so on")
    kept_prompts: list[str] = setting([],
        "up to three texts that every run's model continues for the report; []: the first words of three validation "
        "documents, chosen once")

    def __post_init__(self) -> None:
        if len(self.kept_prompts) > KEPT_PROMPTS or any(not 0 < len(text) <= MOST_CHARS for text in self.kept_prompts):
            raise ValueError(f"kept_prompts = {self.kept_prompts}; expected at most {KEPT_PROMPTS} texts of at most "
                             f"{MOST_CHARS} characters")
        for name in ("num_samples", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 1 or more")
        for name in ("temperature", "top_k", "max_copied_tokens", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more")
        if 0 < self.max_copied_tokens < LEAST_COPIED:
            raise ValueError(f"max_copied_tokens = {self.max_copied_tokens}; expected 0, or {LEAST_COPIED} or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p = {self.top_p}; expected more than 0 and at most 1")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p = {self.min_p}; expected 0 to 1")
        if not 0.01 <= self.repetition_penalty <= 100:  # beyond, logits would be no numbers
            raise ValueError(f"repetition_penalty = {self.repetition_penalty}; expected 0.01 to 100, 1 for none")
