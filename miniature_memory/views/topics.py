"""The table of topics: python3 run.py --topics."""

import json
from pathlib import Path
from typing import NamedTuple

from miniature_memory.core import topic_folders
from miniature_memory.core.config import read_tables
from miniature_memory.core.errors import EXIT_DONE, ConfigError
from miniature_memory.core.findings import Finding
from miniature_memory.core.paths import command
from miniature_memory.core.text import strip_control
from miniature_memory.views import status
from miniature_memory.views.history import bits_history, read_history, to_time


class Topic(NamedTuple):
    """What a topic holds; None where its files cannot be read."""

    topic: str
    title: str
    documents: int | None
    tokens: int | None
    bits_per_byte: float | None
    last_run: str | None
    problems: list[Finding]


def table(root: Path) -> list[Topic]:
    rows = []
    for name in topic_folders.known(root):
        own = root / "topics" / name
        runs, problems = read_history(own)
        dataset, bits = status.read_counts(own, problems), bits_history(runs)
        rows.append(Topic(name, title_of(own), dataset and dataset.documents, dataset and dataset.tokens,
                          bits[-1]["all"] if bits else None, runs[-1].finished if runs else None, problems))
    return rows


def title_of(root: Path) -> str:
    """In the words in which the topic was given; '' if none are known."""
    try:
        return str(read_tables(root)["run"]["topic"])
    except ConfigError:
        return ""


def show(root: Path, as_json: bool) -> int:
    rows = table(root)
    if as_json:
        print(json.dumps({"topics": [{**row._asdict(), "problems": [finding._asdict() for finding in row.problems]}
                                     for row in rows]}))
    elif not rows:
        print("No topics yet. Start one:", command("run.py", root, '--topic "bread baking"'))
    else:
        print(screen(rows, root))
    return EXIT_DONE


def screen(rows: list[Topic], root: Path) -> str:
    names = [row.title or row.topic for row in rows]
    width = max(map(len, ["topic", *names]))
    lines = [f"{'topic':<{width}} {'documents':>10} {'tokens':>12} {'bits per byte':>13}  last run"]
    for name, row in zip(names, rows, strict=True):
        bits = f"{row.bits_per_byte:.3f}" if row.bits_per_byte else "-"
        last = f"{to_time(row.last_run):%d %b %Y %H:%M}" if row.last_run else "none yet"
        lines.append(f"{name:<{width}} {row.documents or 0:>10,} {row.tokens or 0:>12,} {bits:>13}  {last}"
                     + ("; has problems: see --status" if row.problems else ""))
    first = command("run.py", root / "topics" / rows[0].topic)
    lines += ["", f"{first} continues a topic; add --status or --doctor for its details."]
    return strip_control("\n".join(lines))
