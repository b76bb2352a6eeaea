"""Time budget: train.max_minutes covers everything from the start of the process to release.pt."""

import math
import time
from collections.abc import Callable

from miniature_memory.counting.suffixes import MOST_TOKENS, SEGMENT_TOKENS
from miniature_memory.training.evaluation import MOST_EVALUATED
from miniature_memory.training.mixing import FIT_STRETCH, STRETCHES_PER_STEP, steps_for

# What a release takes, in tokens that could be trained on in that time; our measurement, two cores
FIT_COST = 1.2 * FIT_STRETCH * STRETCHES_PER_STEP  # of a step
EVALUATION_COST, MIXTURE_COST = 0.4, 1.0  # of a token of the validation text, without and with counts
SEGMENT_COST = 0.18  # of both with counts, that each segment after the first adds
MAX_END_SHARE = 0.5  # of max_minutes that the release is expected to take: the first iterations mislead
EXIT_SEC = 0.5  # reserved for the end of the process


def release_tokens(val_tokens: int, counted_tokens: int, max_minutes: float) -> float:
    """How many tokens could be trained on in the time that a release takes. counted_tokens: of the text that is
    counted, 0 without counts."""
    n_evaluated = min(val_tokens, MOST_EVALUATED)
    if not counted_tokens:
        return EVALUATION_COST * n_evaluated
    n_segments = math.ceil(min(counted_tokens, MOST_TOKENS) / SEGMENT_TOKENS)
    return (1 + SEGMENT_COST * (n_segments - 1)) * (MIXTURE_COST * n_evaluated + FIT_COST * steps_for(max_minutes))


class TimeBudget:
    """How fast training is, and how much time is left for it.

    started: when the process started, by `clock`; end_tokens: how many could be trained on in the time that the release
    takes at the end.
    """

    def __init__(self, max_minutes: float, started: float, end_tokens: float,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.total_sec, self.started, self.end_tokens, self.clock = 60 * max_minutes, started, end_tokens, clock
        self.loop_started = clock()
        self.train_sec, self.train_tokens = 0.0, 0  # of this run
        self.save_sec = 0.0  # that the last save took

    @property
    def tok_per_sec(self) -> float:
        return self.train_tokens / self.train_sec if self.train_sec else 0.0

    def deadline(self) -> float:
        """When the last iteration must end, so that the release is there within max_minutes."""
        if not self.total_sec:
            return math.inf
        end_sec = self.end_tokens / self.tok_per_sec if self.train_sec else 0.0
        reserved_sec = min(end_sec, MAX_END_SHARE * self.total_sec) + self.save_sec + EXIT_SEC
        return self.started + self.total_sec - reserved_sec

    def left_sec(self) -> float:
        return self.deadline() - self.clock()

    def is_time_to_decay(self, decay_frac: float) -> bool:
        """Whether no more than the last `decay_frac` of the loop's time is left. One iteration always comes first."""
        decay_sec = decay_frac * (self.deadline() - self.loop_started)
        return self.train_tokens > 0 and self.left_sec() <= decay_sec < math.inf

    def progress(self) -> tuple[float, float]:
        """The share of max_minutes that is over, and the seconds that are left of it."""
        elapsed = self.clock() - self.started
        return (elapsed / self.total_sec, self.total_sec - elapsed) if self.total_sec else (0.0, math.inf)
