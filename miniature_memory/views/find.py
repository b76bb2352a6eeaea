"""The full-text search on the screen: python3 run.py --find "dough AND wild yeast"."""

import json
import sys
import textwrap
from pathlib import Path

from miniature_memory.collection.search import Answer, Result, search
from miniature_memory.core.errors import EXIT_DONE
from miniature_memory.storage.full_text import BEGIN, END
from miniature_memory.views.status import WIDTH

BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def show(root: Path, query: str, as_json: bool) -> int:
    answer = search(root, query)
    print(json.dumps(facts(answer), ensure_ascii=False) if as_json else screen(answer, sys.stdout.isatty()))
    return EXIT_DONE


def facts(answer: Answer) -> dict[str, object]:
    return {"query": answer.query, "total": answer.total, "note": answer.note, "results": [
        {"id": one.id, "title": one.title, "url": one.url, "date": one.date, "passage": one.passage.plain(),
         "hits": one.passage.pieces[1::2]} for one in answer.results]}


def screen(answer: Answer, is_terminal: bool) -> str:
    lines = []
    if answer.total:
        lines += [answer.headline(), ""]
    for n, result in enumerate(answer.results, 1):
        lines += [*_shown(f"{n:>2}  ", result), ""]
    lines += _wrapped("", answer.note)
    begin, end = (BOLD, PLAIN) if is_terminal else ("", "")
    return "\n".join(lines).rstrip().replace(BEGIN, begin).replace(END, end)


def _shown(number: str, result: Result) -> list[str]:
    """Title and date, address, passage."""
    indent = " " * len(number)
    title = " · ".join(filter(None, [result.title, result.date]))
    passage = result.passage.shown(BEGIN, END)
    return [*_wrapped(number, title), *_wrapped(indent, result.url), *_wrapped(indent, passage)]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=" " * len(label),
                         break_long_words=False, break_on_hyphens=False)
