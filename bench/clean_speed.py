"""Quality rules: how fast are the four published families compared with datatrove, and do both decide the same?

    .venv/bin/python -m bench.clean_speed --data wcxb-dev.jsonl.xz --peer-python PEER    three runs, about 15 minutes
    .venv/bin/python -m bench.clean_speed --data wcxb-dev.jsonl.xz --peer-python PEER --every 5 --runs 1

PEER is the Python of a separate environment, FOLDER/bin/python, since datatrove and its spaCy are heavy:
requirements-bench.txt explains how to make it. The documents are the main_content texts of WCXB's development pages
(see extraction.py). Each system passes them one by one through Gopher quality, Gopher repetition, C4 (without terminal
punctuation) and FineWeb (duplicate characters 0.1) in a fresh process, in turns; seconds are CPU time on one core,
without imports. Both sides remember the words that they have divided: the first pass over the texts begins with none,
the second, as in a growing dataset, knows most. Ends with one JSON line: medians over the runs.
"""

import argparse
import json
import lzma
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

FAMILIES = ("gopher_quality", "gopher_repetition", "c4_quality", "fineweb_quality")


def read_texts(data: Path, every: int) -> list[str]:
    with lzma.open(data, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["main_content"] for line in islice(lines, 0, None, every)]


def filters_of(system: str) -> dict[str, Any]:
    """Each family as a function from a text to the reason for rejection, or None."""
    if system == "ours":
        import clean

        return {family: getattr(clean, family) for family in FAMILIES}
    from datatrove.data import Document
    from datatrove.pipeline.filters.c4_filters import C4QualityFilter
    from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
    from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
    from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter

    def reason_of(peer: Any) -> Any:
        def reason(text: str) -> str | None:
            result = peer.filter(Document(text=text, id=""))
            return None if result is True else result[1]
        reason("The tokenizer is loaded by its first text.")
        return reason

    return dict(zip(FAMILIES, map(reason_of, (
        GopherQualityFilter(), GopherRepetitionFilter(), C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(char_duplicates_ratio=0.1))), strict=True))


def measure(system: str, texts: list[str]) -> dict[str, Any]:
    """The reasons that each family gives for the texts, and its seconds in a first and a second pass."""
    filters = filters_of(system)
    reasons: dict[str, list[str | None]] = {}
    passes: list[dict[str, float]] = []
    for _ in range(2):
        seconds: dict[str, float] = dict.fromkeys(FAMILIES, 0.0)
        reasons = {family: [] for family in FAMILIES}
        for text in texts:
            for family, reason in filters.items():
                before = time.process_time()
                try:
                    reasons[family].append(reason(text))
                except ZeroDivisionError:  # datatrove, on a text without lines
                    reasons[family].append("empty")
                seconds[family] += time.process_time() - before
        passes.append(seconds)
    return {"passes": passes, "reasons": reasons}


def in_fresh_process(python: str, system: str, args: argparse.Namespace) -> dict[str, Any]:
    command = [python, "-m", "bench.clean_speed", "--data", str(args.data), "--every", str(args.every), "--only",
               system]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def differences(ours: dict[str, list[str | None]], peer: dict[str, list[str | None]]) -> dict[str, Counter[str]]:
    """By family: (our reason, the peer's) -> number of documents that one keeps and the other rejects."""
    return {family: Counter(f"ours {a or 'keeps'}, peer {b or 'keeps'}"
                            for a, b in zip(ours[family], peer[family], strict=True) if (a is None) != (b is None))
            for family in FAMILIES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--peer-python", default=sys.executable, metavar="FILE", help="the Python that has datatrove")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth document")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=("ours", "peer"), help="one system in this process; prints its raw result")
    args = parser.parse_args()
    texts = read_texts(args.data, args.every)
    if args.only:
        print(json.dumps(measure(args.only, texts)))
        return
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for n in range(args.runs):
        for system, python in (("ours", sys.executable), ("peer", args.peer_python)):
            runs[system].append(in_fresh_process(python, system, args))
            rates = [len(texts) / sum(seconds.values()) for seconds in runs[system][-1]["passes"]]
            print(f"run {n + 1}: {system} {rates[0]:.1f} documents/s, then {rates[1]:.1f}", file=sys.stderr)
    ours, peer = runs["ours"][0]["reasons"], runs["peer"][0]["reasons"]
    found = differences(ours, peer)
    for family, classes in found.items():
        for kind, n in classes.most_common():
            print(f"{family}: {n} x {kind}: words divided differently move a share across a limit", file=sys.stderr)
    total = {system: [[sum(seconds.values()) for seconds in run["passes"]] for run in of]
             for system, of in runs.items()}
    rate = {f"{system}_{name}": round(len(texts) / median(run[i] for run in of), 1)
            for system, of in total.items() for i, name in enumerate(("first", "second"))}
    ratios = [round(median(b[i] / a[i] for a, b in zip(total["ours"], total["peer"], strict=True)), 1) for i in (0, 1)]
    print(json.dumps({
        "bench": "clean_speed", "documents": len(texts), "runs": args.runs, "docs_per_sec": rate,
        "ratio_first_pass": ratios[0], "ratio_second_pass": ratios[1],
        "ours_us": {family: [round(1e6 * median(run["passes"][i][family] for run in runs["ours"]) / len(texts))
                             for i in (0, 1)] for family in FAMILIES},
        "same_decision": {family: round(1 - found[family].total() / len(texts), 4) for family in FAMILIES},
        "rejected": {family: sum(reason is not None for reason in ours[family]) for family in FAMILIES}}))


if __name__ == "__main__":
    main()
