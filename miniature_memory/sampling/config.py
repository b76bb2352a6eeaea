"""Settings of sample."""

from __future__ import annotations

from dataclasses import dataclass

from miniature_memory.core.config import setting

KEPT_PROMPTS = 3  # for the report
MOST_CHARS = 360  # of a kept prompt


@dataclass(frozen=True)
class SampleConfig:
    prompt: str = setting("", "what the samples begin with; also --prompt and --prompt-file")
    num_samples: int = setting(3, "samples to draw")
    max_new_tokens: int = setting(200, "of each sample, which ends earlier where the model ends a document")
    temperature: float = setting(0.8, "below 1 keeps to the likely, above 1 dares more; 0: always the likeliest")
    top_k: int = setting(50, "choose among the likeliest 50 tokens; 0: among all")
    top_p: float = setting(1.0,
        "and of these among the likeliest that together have this probability")  # Holtzman et al., arXiv 1904.09751
    min_p: float = setting(0.0,
        "and among those at least this much as likely as the likeliest")  # Nguyen et al., arXiv 2407.01082
    repetition_penalty: float = setting(1.0,
        "above 1 makes what stands in the context less likely to come again")  # CTRL, arXiv 1909.05858
    stop: list[str] = setting([], "texts before which a sample ends, such as [\"\\n\\n\"]")
    seed: int = setting(1337, "the same seed draws the same samples; the second sample has the next one, and so on")
    kept_prompts: list[str] = setting([],
        "three texts that every run's model continues for the report; []: the first words of three validation "
        "documents, chosen once")

    def __post_init__(self) -> None:
        if len(self.kept_prompts) > KEPT_PROMPTS or any(not 0 < len(text) <= MOST_CHARS for text in self.kept_prompts):
            raise ValueError(f"kept_prompts = {self.kept_prompts}; expected at most {KEPT_PROMPTS} texts of at most "
                             f"{MOST_CHARS} characters")
        for name in ("num_samples", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 1 or more")
        for name in ("temperature", "top_k", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p = {self.top_p}; expected more than 0 and at most 1")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p = {self.min_p}; expected 0 to 1")
        if self.repetition_penalty <= 0:
            raise ValueError(f"repetition_penalty = {self.repetition_penalty}; expected more than 0, 1 for none")
