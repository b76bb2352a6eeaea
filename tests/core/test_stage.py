"""python3 -m pytest tests/core/test_stage.py"""

import threading
from collections import Counter

import pytest

from miniature_memory.core.errors import StageError
from miniature_memory.core.process import PeakMemory
from miniature_memory.core.stage import StageStats, measured


def test_stats_survive_their_json_line() -> None:
    stats = StageStats("clean", 3, 1, Counter(too_few_words=2), facts={"x": 1})
    assert StageStats.from_json(stats.to_json()) == stats


def test_a_summary_has_reasons_in_words() -> None:
    stats = StageStats("clean", 1000, 998, Counter(too_few_words=2), elapsed_sec=4.5, peak_mb=65)
    assert stats.summary() == "clean     1,000 documents checked, 998 kept; rejected: 2 too few words · 4.5 s · 65 MB"
    assert StageStats("scrape", 1, 1).summary().startswith("scrape    1 URL visited, 1 new page ")


def test_a_stage_that_fails_leaves_no_thread_behind() -> None:
    def work() -> StageStats:
        raise StageError("x", "y", "z")

    before = threading.active_count()
    with pytest.raises(StageError):
        measured(work)
    for thread in threading.enumerate():
        if isinstance(thread, PeakMemory):
            thread.join(timeout=10)
    assert threading.active_count() <= before
