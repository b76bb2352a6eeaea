"""What is kept about a rejected document."""

import json
from typing import NamedTuple

REJECTED = "data/rejected.jsonl"  # for people alone: nothing is lost for a run when they remove it


class Rejection(NamedTuple):
    """Why a document was rejected: the rule's name, what was measured, and the threshold that it passed."""

    reason: str
    value: float | str
    threshold: float | str


def line_of(stage: str, rejection: Rejection, document_id: str, url: str, text: str) -> bytes:
    """One JSON line about a rejected document."""
    line = {"id": document_id, "url": url, "stage": stage, **rejection._asdict(), "text": text[:200]}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"
