"""Shards: which part of the web a machine crawls when several share it and never talk to each other.

A host belongs to the shard that its domain hashes to, so each machine knows whose it is. This must give the same answer
on every machine and in every release. So the domain is found by rules that never change, not by the public suffix list:
of two machines with different lists, both might fetch a host, or neither. Where the rules are wrong, hosts of different
owners share a shard, or those of one owner are in two; each host is still fetched by one machine.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

# Second-level domains under which a country registers names, as in example.co.uk
_SECOND_LEVEL = frozenset(["ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "govt", "gv", "mil", "ne", "net",
                           "nom", "or", "org", "sch"])
_FORM = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


class Shard(NamedTuple):
    """One of `total` parts of the web; `number` counts from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that is written 2/5. Raises ValueError, with what was expected, for anything else."""
        found = _FORM.fullmatch(text)
        if not found or int(found[1]) > int(found[2]):
            raise ValueError(f"{text!r} is no shard; expected NUMBER/TOTAL such as 2/5, where the number counts from 1 "
                             "to the total and the total is 9999 at most")
        return cls(int(found[1]), int(found[2]))

    def has(self, host: str) -> bool:
        """Whether a host, without its port, belongs to this shard."""
        digest = hashlib.blake2b(domain_of(host).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.total + 1 == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def domain_of(host: str) -> str:
    """The domain that a host was registered under, more or less; an IP address is its own."""
    labels = host.split(".")
    if ":" in host or labels[-1].isdigit():
        return host
    is_below_category = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return ".".join(labels[-3 if is_below_category else -2:])
