"""The table of topics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from miniature_memory.core.errors import EXIT_DONE
from miniature_memory.core.findings import Finding
from miniature_memory.core.paths import root_option
from miniature_memory.core.text import strip_control
from miniature_memory.views import history, status

# --- the list ------------------------------------------------------------------------------------


def table(root: Path) -> list[dict[str, Any]]:
    """Each topic with what it holds; figures are None where its files cannot be read."""
    rows = []
    for path in sorted((root / "topics").glob("*/config/queries.txt")):
        own, problems = path.parents[1], list[Finding]()
        runs, dataset = history.read_runs(own, problems), status.read_dataset(own, problems)
        bits = history.bits_history(runs)
        rows.append({"topic": own.name, "documents": dataset.get("documents"), "tokens": dataset.get("tokens"),
                     "bits_per_byte": bits[-1]["all"] if bits else None,
                     "last_run": runs[-1]["finished"] if runs else None,
                     "problems": [finding._asdict() for finding in problems]})
    return rows


def show(root: Path, as_json: bool) -> int:
    rows = table(root)
    if as_json:
        print(json.dumps({"topics": rows}))
    elif not rows:
        print('There is no topic yet. One begins with: python3 run.py --topic "bread baking"')
    else:
        print(screen(rows, root))
    return EXIT_DONE


def screen(rows: list[dict[str, Any]], root: Path) -> str:
    width = max(len("topic"), *(len(row["topic"]) for row in rows))
    lines = [f"{'topic':<{width}} {'documents':>10} {'tokens':>12} {'bits per byte':>12}  last run"]
    for row in rows:
        documents, tokens = (f"{row[name] or 0:,}" for name in ("documents", "tokens"))
        bits = f"{row['bits_per_byte']:.3f}" if row["bits_per_byte"] else "-"
        last = f"{history.to_time(row['last_run']):%d %b %Y %H:%M}" if row["last_run"] else "none yet"
        lines.append(f"{row['topic']:<{width}} {documents:>10} {tokens:>12} {bits:>12}  {last}"
                     + ("; damaged, see --doctor" if row["problems"] else ""))
    example = root_option(root / "topics" / rows[0]["topic"])
    return strip_control("\n".join([*lines, "", f"python3 run.py{example} goes on with one; --status and --doctor with "
                                    "the same words tell more."]))
