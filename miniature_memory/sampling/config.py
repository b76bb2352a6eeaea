"""Settings of sample."""

from __future__ import annotations

from dataclasses import dataclass, field

KEPT_PROMPTS = 3  # for the report
MOST_CHARS = 360  # of a kept prompt


@dataclass(frozen=True)
class SampleConfig:
    prompt: str = ""
    num_samples: int = 3
    max_new_tokens: int = 200
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 1.0                      # Holtzman et al., arXiv 1904.09751
    min_p: float = 0.0                      # Nguyen et al., arXiv 2407.01082
    repetition_penalty: float = 1.0         # CTRL, arXiv 1909.05858
    stop: list[str] = field(default_factory=list)
    seed: int = 1337
    kept_prompts: list[str] = field(default_factory=list)

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
