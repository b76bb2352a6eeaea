"""Report: what was collected, what was rejected and what the model learned, as one page that needs nothing else.

Reads   data/runs.jsonl, data/samples.jsonl, data/rejected.jsonl, data/catalog.sqlite3, checkpoints/ckpt.json, config/
Writes  data/report.html    light and dark, for phone and desktop, without JavaScript
Alone   python3 run.py --report --root DIR

run.py writes it after every run. Whatever is missing or damaged is skipped, and the page reports it. Everything that
came from outside is escaped, and the page forbids itself scripts and requests.
"""

import logging
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from miniature_memory.core.config import Tables, read_tables
from miniature_memory.core.errors import EXIT_DONE, cannot_write
from miniature_memory.core.paths import PROJECT, command
from miniature_memory.storage.files import QUERIES, read_list, write_aside
from miniature_memory.views import plots, report_data, report_empty, status
from miniature_memory.views import report_sections as sections
from miniature_memory.views.history import read_history

STYLESHEET = Path(__file__).with_name("report.css")
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>TITLE · miniature-memory</title>
<style>STYLE</style>
</head>
<body>
"""


def page(root: Path, tables: Tables) -> str:
    """The whole report. Damage is reported on it and raises nothing."""
    runs, problems = read_history(root, report_data.HISTORY_BYTES)
    dataset = report_data.read_dataset(root, problems, tables["clean"]["min_topic_fit"])
    model = status.read_model(root, runs, problems)
    topic = tables["run"]["topic"]
    title = sections.title([topic] if topic else read_list(root / QUERIES))
    samples = report_data.read_samples(root)
    is_empty = not (model or problems or samples) and report_empty.is_empty(runs, dataset.counts if dataset else None)
    parts = [sections.notices(runs, [finding.found for finding in problems])]
    parts += [report_empty.sections(runs, root)] if is_empty else [
              sections.samples(samples, runs), sections.learning(runs), sections.dataset(runs, dataset),
              sections.rejected(report_data.count_dropped(runs), report_data.read_examples(root)), sections.cost(runs)]
    parts.append(sections.settings(tables, read_tables(PROJECT), model))
    style = plots.THEMED_STYLE + STYLESHEET.read_text(encoding="utf-8")
    header = sections.header(title, runs, dataset, command("run.py", root))
    again = escape(command("run.py", root, "--report"))
    return (HEAD.replace("STYLE", style).replace("TITLE", title) + header
            + f"<main>{''.join(parts)}</main><footer><p>Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by "
            f"<code>{again}</code>. This page loads nothing and sends nothing.</p></footer>\n"
            "</body>\n</html>\n")


def write(root: Path, tables: Tables, quiet: bool) -> int:
    """Write data/report.html and print its path."""
    logging.basicConfig(level=logging.ERROR if quiet else logging.INFO, format="%(message)s", force=True)
    path = root / "data/report.html"
    content = page(root, tables)
    try:
        write_aside(path, content.encode(errors="replace"))
    except OSError as error:
        raise cannot_write(path, error) from None
    print(path)
    return EXIT_DONE
