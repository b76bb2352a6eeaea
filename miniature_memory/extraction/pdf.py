"""PDF: the text of its pages, by PDFium, which is what Chromium shows them with.

PDFium (pypdfium2) reads the same words as pypdf and pdfminer.six, 14 and 22 times faster (196 pages of the Asymptote
manual: 0.7, 9 and 15 s), joins words that were divided at the ends of lines, and knows ligatures. It is C++ that reads
what a stranger wrote, and so it runs in a worker process alone.
"""

import re
from importlib.util import find_spec
from statistics import quantiles

from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.reading import MAX_BYTES, Unreadable

HAS_PDFIUM = find_spec("pypdfium2") is not None
FULL_LINE = 0.75  # guess: a line shorter than this part of the long ones ends a paragraph
BETWEEN_CJK = re.compile(r"(?<=[\u2e80-\u9fff\uff00-\uffef]) (?=[\u2e80-\u9fff\uff00-\uffef])")


def read_pdf(data: bytes) -> Extracted:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise Unreadable("encrypted" if "assword" in str(error) else "damaged") from None
    pages: list[list[str]] = []
    n_chars = 0
    for number in range(len(document)):
        try:
            page = document[number]
            text = page.get_textpage().get_text_range()
            page.close()
        except pypdfium2.PdfiumError:
            continue  # one damaged page
        n_chars += len(text)
        if n_chars > MAX_BYTES:
            raise Unreadable("too_big")
        text = text.replace("\ufffe", "")  # where a word was divided
        pages.append([line for line in map(str.strip, text.splitlines()) if line and not _is_of_contents(line)])
    about = document.get_metadata_dict()
    text = paragraphs(without_running_lines(pages))
    return Extracted(text, about.get("Title", ""), about.get("Author", ""), extractor="pdf",
                     reason="" if text else "pdf_without_text")


def without_running_lines(pages: list[list[str]]) -> list[str]:
    """The lines of all pages without heads, feet and page numbers: what the next page or the one after it repeats."""
    for _ in range(2):  # a head may have two lines
        for end, rest in ((0, slice(1, None)), (-1, slice(-1))):
            forms = ["", "", *(_form(page[end]) if page else "" for page in pages), "", ""]
            pages = [page[rest] if forms[i + 2] in (forms[i], forms[i + 1], forms[i + 3], forms[i + 4]) else page
                     for i, page in enumerate(pages)]
    return [line for page in pages for line in page]


def _form(line: str) -> str:
    """A line but for its numbers."""
    return re.sub(r"\d+|\b[ivxlc]{1,7}\b", "#", line)


def _is_of_contents(line: str) -> bool:
    """Whether dots lead from a title to its page number."""
    return "....." in line.replace(" ", "")


def paragraphs(lines: list[str]) -> str:
    """Lines joined to paragraphs. A short line ends one; short lines after each other, such as verses, stay lines."""
    if len(lines) < 2:
        return "\n".join(lines)
    full = FULL_LINE * quantiles(map(len, lines), n=10)[-1]
    pieces: list[list[str]] = [[]]
    for line in lines:
        pieces[-1].append(line)
        if len(line) < full:
            pieces.append([])
    out: list[str] = []
    for before, piece in zip([[], *pieces], pieces, strict=False):
        out += ["\n\n" if len(before) > 1 or len(piece) > 1 else "\n", BETWEEN_CJK.sub("", " ".join(piece))]
    return "".join(out).strip()
