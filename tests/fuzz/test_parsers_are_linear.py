"""No parser takes more than linear time, whatever piece of its input is repeated; as tests/test_regex_linear.py says it
of regular expressions, here of all that a parser does."""

import time
from contextlib import suppress

import pytest
from fuzz.mutation import grown
from fuzz.parsers import PARSERS

BYTES, TIMES = 20_000, 4
CPU_SEC = 0.25  # what takes less is not looked at again
TOO_MUCH = 10.0  # times as long for four times the text: linear is 4, quadratic 16


def cpu_sec(name: str, data: bytes) -> float:
    began = time.process_time()
    with suppress(*PARSERS[name].raises):
        PARSERS[name].read(data)
    return time.process_time() - began


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_four_times_the_text_takes_four_times_as_long(name: str) -> None:
    seeds = PARSERS[name].seeds
    for number in range(100):
        seconds = cpu_sec(name, grown(seeds, number, BYTES))
        if seconds > CPU_SEC:
            ratio = cpu_sec(name, grown(seeds, number, TIMES * BYTES)) / seconds
            assert ratio < TOO_MUCH, f"{name}, input {number}: {seconds:.2f} s, then {ratio:.0f} times as long"
