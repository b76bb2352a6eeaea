"""No bytes from outside raise what a parser does not promise. `python -m tests.fuzz` looks longer, and by coverage."""

from pathlib import Path

import pytest
from fuzz.mutation import damaged
from fuzz.parsers import PARSERS

FOUND = Path(__file__).with_name("found")  # NAME/*: inputs that once raised something else
FEW, MANY = 40, 2000


def read(name: str, data: bytes) -> None:
    parser = PARSERS[name]
    try:
        parser.read(data)
    except parser.raises:
        pass


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_is_mended(path: Path) -> None:
    read(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("name", PARSERS)
def test_damaged_inputs(name: str) -> None:
    for number in range(FEW):
        read(name, damaged(PARSERS[name].seeds, number))


@pytest.mark.heavy
@pytest.mark.parametrize("name", PARSERS)
def test_many_damaged_inputs(name: str) -> None:
    for number in range(FEW, MANY):
        read(name, damaged(PARSERS[name].seeds, number))
