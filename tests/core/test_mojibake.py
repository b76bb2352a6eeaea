"""python3 -m pytest tests/core/test_mojibake.py: the quick look at a text overlooks nothing."""

import random

from miniature_memory.core import mojibake

LEADS = [*map(chr, range(0xC2, 0xF5)), *map(chr, range(0x412, 0x440)), *"ĂĹ√‚Γ├┬╨╤ĐŃ"]
FOLLOWERS = [*map(chr, range(0x80, 0xC0)), *map(chr, range(0x104, 0x17F)), *"ƒˆ˜˝–—‘’“”„†‡•…‰‹›€™№ЁЂЋџÄÇ"]


def test_what_has_a_sign_is_seen_in_the_bytes() -> None:
    draw = random.Random(1)
    n_signs = 0
    for _ in range(20_000):
        text = "".join(draw.choice((draw.choice(LEADS), draw.choice(FOLLOWERS), draw.choice("a \n.é"),
                                    draw.choice(LEADS) + draw.choice([*FOLLOWERS, " "]) + draw.choice(FOLLOWERS)))
                       for _ in range(draw.randint(1, 5)))
        if any(map(mojibake._has_sign, text.split("\n"))):
            n_signs += 1
            assert mojibake._may_have_sign(text), text
    assert n_signs > 5000


def test_words_with_accents_are_not_looked_at_twice() -> None:
    assert not mojibake._may_have_sign("Das Café über dem Fluß, où naît la crème brûlée. ¿Qué? – “Já”, disse. " * 20)
