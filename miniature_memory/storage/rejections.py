"""What is kept about a rejected document."""

from typing import NamedTuple

REJECTED = "data/rejected.jsonl"  # for people alone: nothing is lost for a run when they remove it


class Rejection(NamedTuple):
    """Why a document was rejected: the rule's name, what was measured, and the threshold that it passed."""

    reason: str
    value: float | str
    threshold: float | str
