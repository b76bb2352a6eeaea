"""Damaged inputs: what stands for a fuzzer where there is none. The same number makes the same input."""

import random
from collections.abc import Sequence

INTERESTING = [b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n\n", b"<", b">", b"<!--", b"]]>",
               b"&", b"&#x", b'"', b"'", b"\\", b"%", b"%zz", b"{", b"}", b"[[", b"..", b"//", b"://", b":", b"-1",
               b"1e999", b"NaN", b"null", b"9" * 25, b"<p>" * 50, b"(" * 50, b"a" * 300, "\u2028".encode(),
               "\u017f".encode()]
MOST_BYTES = 20_000


def damaged(seeds: Sequence[bytes], number: int) -> bytes:
    """One of the seeds after one to eight changes: bytes flipped, cut, put in, repeated, or taken from another seed."""
    chance = random.Random(number)
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice([1, 2, 8, 40]))
        match chance.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = chance.choice(INTERESTING)
            case 3:
                data[at:end] = bytes(data[at:end]) * chance.choice([2, 3, 100])
            case 4:
                other = chance.choice(seeds)
                begin = chance.randrange(len(other) + 1)
                data[at:end] = other[begin:begin + 40]
            case _:
                data[at:end] = chance.randbytes(end - at)
    return bytes(data[:MOST_BYTES])


def grown(seeds: Sequence[bytes], number: int, n_bytes: int) -> bytes:
    """One of the seeds in which a short piece of it, or an interesting one, stands so often that it has n_bytes; the
    number alone decides which piece, and where."""
    chance = random.Random(number)
    data = chance.choice(seeds)
    at = chance.randrange(len(data) + 1)
    piece = chance.choice([data[at:at + chance.randint(1, 20)], chance.choice(INTERESTING)]) or b" "
    rest = data[at + len(piece):] if chance.random() < 0.5 else b""
    return data[:at] + piece * (n_bytes // len(piece)) + rest
