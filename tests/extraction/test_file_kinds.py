"""Kinds of files, each by a real one.   .venv/bin/python -m pytest tests/extraction/test_file_kinds.py

files/keeper.* are one text of our own, written by pandoc 3 (.docx .odt .epub .rst .tex) and Typst 0.15 (.pdf);
blank.pdf and locked.pdf, whose password is "secret", by pypdf 7.
"""

import gzip
import io
import json
import os
import re
import zipfile
from pathlib import Path

import pytest
from helpers import PROSE, warc_member

import extract
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import PROJECT
from miniature_memory.extraction import file_kinds, office, reading
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.extraction.file_kinds import ENDINGS
from miniature_memory.extraction.inputs import read_files
from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.workers import extract_job

FILES = Path(__file__).parent / "files"
ONE = ExtractConfig(workers=1)


def texts_of(*paths: Path) -> list[Extracted]:
    return [extract_job(one, ONE) for one in read_files(paths)]


def reasons_of(*paths: Path) -> list[str]:
    return [one.reason for one in texts_of(*paths)]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# --- documents -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["docx", "odt", "epub", "rst", "tex"])
def test_a_book_is_read_without_its_marks(ending):
    parts = texts_of(FILES / f"keeper.{ending}")
    text = "\n\n".join(part.text for part in parts)
    assert {(part.title, part.author, part.reason) for part in parts} == {("The Keeper of Sandbank", "Mara Quill", "")}
    assert "\n\nThe keeper climbed the stairs at dusk, as he had done for thirty years, and trimmed" in text
    assert "a single boat, the Marigold, was making for the harbour of Østerhavn.\n" in text
    assert "said to the gull on the rail. The gull said nothing" in text  # the footnote's mark has gone
    assert re.search(r"^#+ The lamp$", text, re.M) and re.search(r"^#+ What he needed$", text, re.M)
    assert re.search(r"^(- )?oil for the lamp\n(- )?a cloth that leaves no lint\n", text, re.M)
    assert re.search(r"keep the light\n+ *keep the log\n", text) and "the wall, see the harbour:" in text
    assert ending == "tex" or "\nMonday | eleven\n" in text  # tables in LaTeX are left out
    assert not re.search(r"[*`{}<>_]|https?:|\\(?![()s])", text.replace(r"\sqrt{2 g h}", ""))


def test_the_chapters_of_an_epub_have_places():
    assert [one.url.rpartition("/")[2] for one in read_files([FILES / "keeper.epub"])] == [
        "title_page.xhtml", "ch001.xhtml", "ch002.xhtml"]


def test_a_pdf_file_is_read_in_paragraphs_without_heads_and_page_numbers():
    pytest.importorskip("pypdfium2", reason="no pypdfium2; install it: ./setup.sh --with texts")
    [found] = texts_of(FILES / "keeper.pdf")
    assert (found.title, found.author) == ("The Keeper of Sandbank", "Mara Quill")
    blocks = found.text.split("\n\n")
    assert blocks[0] == "The lamp" and blocks[4] == "The storm" and len(blocks) == 7
    assert blocks[2].startswith("“You are late,”") and blocks[2].endswith("that the difficult lamp had taken.")
    assert reasons_of(FILES / "locked.pdf", FILES / "blank.pdf") == ["encrypted", "pdf_without_text"]


def test_a_damaged_pdf_file_is_counted(tmp_path):
    pytest.importorskip("pypdfium2", reason="no pypdfium2; install it: ./setup.sh --with texts")
    assert reasons_of(write(tmp_path / "a.pdf", (FILES / "keeper.pdf").read_bytes()[:3000])) == ["damaged"]


def test_without_its_package_a_pdf_file_is_counted_and_the_fix_is_printed(monkeypatch, caplog):
    monkeypatch.setattr(file_kinds, "HAS_PDFIUM", False)
    assert reasons_of(FILES / "keeper.pdf", FILES / "blank.pdf") == ["needs_pypdfium2", "needs_pypdfium2"]
    assert caplog.messages == ["skipped: 2 .pdf, since the package that reads them is not installed. "
                               "Fix: ./setup.sh --with texts"]
    with pytest.raises(StageError, match=r"setup\.sh --with texts"):
        extract.print_page(ONE, PROJECT, str(FILES / "keeper.pdf"))


def test_rst_directives_comments_and_targets():
    source = (".. _top:\n\nA day\n=====\n\n.. image:: a.png\n   :alt: none\n\n.. a comment\n   of two lines\n\n"
              ".. note:: Bring *bread*.\n\n.. code-block:: python\n   :linenos:\n\n   x = 1\n\n"
              "See :func:`~os.walk`, :doc:`the guide </guide>`\nand ``a*b``::\n\n   kept *as it is*\n\n>>> 1 + 1\n2")
    found = file_kinds.DOCUMENTS[".rst"](source.encode())
    assert found.text.split("\n\n") == ["", "# A day", "Bring bread.", "   x = 1",
                                        "See os.walk, the guide and a*b:", "   kept *as it is*", ">>> 1 + 1\n2"]


def test_latex_commands_go_and_their_text_and_mathematics_stay():
    source = (r"\documentclass[a4paper]{book}\newcommand{\x}[1]{y}\begin{document}\chapter[T]{Tea \& \emph{milk}}"
              "\nIt cost 5\\,\\% more~\\cite{quill,b}, says\\footnote{No.} Zo\\\"e in\nS\\~ao {\\bf P}aulo -- see "
              "\\href{http://a}{here}. % nothing\n\n\\begin{equation*}E = \\alpha\\end{equation*}\n"
              "\\begin{figure}[h]a\\caption{b}\\end{figure}A $\\frac{1}{2}$\\\\B \\verb|\\c|\\end{document} no")
    found = file_kinds.DOCUMENTS[".tex"](source.encode())
    assert found.text == ("# Tea & milk\n\nIt cost 5 % more, says Zoë in São Paulo – see here.\n\n"
                          "\\begin{equation*}E = \\alpha\\end{equation*} A $\\frac{1}{2}$\nB \\c")


def test_subtitles_become_sentences():
    [srt, vtt] = texts_of(FILES / "keeper.srt", FILES / "keeper.vtt")
    assert srt.text == ("The keeper climbed the stairs at dusk, as he had done for thirty years.\n"
                        "- You are late.\n- So is the café.")
    assert vtt.text == "the keeper climbed the stairs at dusk & trimmed the wick."  # each line once


def test_mail_is_what_its_author_wrote(tmp_path):
    first, second = texts_of(FILES / "keeper.mbox")
    assert (first.title, first.author) == ("The café on the pier", "Mara Quill")
    assert first.text == "The café on the pier is closed.\nFrom now on we bring our own tea."
    assert (second.title, second.author, second.text) == ("Oil", "", "The oil comes on Monday.")
    page = f"Content-Type: text/html\n\n<html><body><p>{PROSE}</p></body></html>"
    assert texts_of(write(tmp_path / "a.eml", page))[0].text == PROSE.strip()


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, content", [
    ("a.csv", 'id,Title,text\r\n1,One,"a, ""b""\nc"\r\n2,Two,d\r\n'),
    ("a.tsv", 'title\ttext\nOne\t"a, ""b""\nc"\nTwo\td\n'),
    ("b.csv", 'title;text\nOne;"a, ""b""\nc"\nTwo;d\n'.encode("utf-16")),
    ("a.json", json.dumps([{"text": 'a, "b"\nc', "title": "One"}, {"content": "d", "title": "Two"}])),
    ("b.json", json.dumps({"n": 2, "data": [{"text": 'a, "b"\nc', "title": "One"}, {"body": "d", "title": "Two"}]})),
    ("a.jsonl", '{"text": "a, \\"b\\"\\nc", "title": "One"}\n{"text": "d", "metadata": {"title": "Two"}}\n')])
def test_each_row_of_a_table_is_a_document(tmp_path, name, content):
    found = list(read_files([write(tmp_path / name, content)]))
    assert [(one.title, one.text) for one in found] == [("One", 'a, "b"\nc'), ("Two", "d")]
    assert len({one.url for one in found}) == 2 and all(f"/{name}#" in one.url for one in found)


def test_the_only_column_of_prose_is_the_text(tmp_path):
    rows = [f"{n},{PROSE.split('. ')[n]}" for n in range(3)]
    for header in ("n,what\n", ""):
        found = read_files([write(tmp_path / "a.csv", header + "\n".join(f'{row[:2]}"{row[2:]}"' for row in rows))])
        assert [one.text for one in found] == [row[2:] for row in rows]


def test_a_table_without_text_is_counted(tmp_path):
    assert reasons_of(write(tmp_path / "a.csv", "x,y\n1,2\n"), write(tmp_path / "b.csv", '"' + "a" * 5_000_001),
                      write(tmp_path / "a.json", "{broken"), write(tmp_path / "b.json", "[" * 100_000),
                      write(tmp_path / "c.json", '{"text": 7}'), write(tmp_path / "d.json", "[1]")) == [
        "no_text_column", "damaged", "bad_json", "bad_json", "text_is_no_string", "bad_json"]


# --- archives ------------------------------------------------------------------------------------


def test_files_in_archives_are_read_in_place(tmp_path):
    rst = (FILES / "keeper.rst").read_bytes()
    member = warc_member("http://a.example/", f"<html><body><p>{PROSE}</p></body></html>".encode())
    path = zipped(tmp_path / "a.zip", {
        "a/b.txt": "one", "keeper.rst": rst, "c.epub": (FILES / "keeper.epub").read_bytes(), "d.png": b"\x89PNG",
        "__MACOSX/e.txt": "no", ".git/f.txt": "no", "g.zip": b"PK", "h.warc.gz": member})
    found = {one.url.partition(".zip#")[2]: one for one in read_files([path])}
    assert {place: one.reason for place, one in found.items() if one.reason} == {
        "d.png": "unknown_kind", "g.zip": "archive_in_archive"}
    assert found["a/b.txt"].text == "one" and found["a/b.txt"].title == "b" and found[""].url == "http://a.example/"
    assert "c.epub/EPUB/text/ch001.xhtml" in found
    assert extract_job(found["keeper.rst"], ONE).author == "Mara Quill" and len(found) == 8
    assert texts_of(write(tmp_path / "x.json.gz", gzip.compress(b'["three"]')))[0].text == "three"
    assert [one.url for one in read_files([write(tmp_path / "x.warc.gz", member)])] == ["http://a.example/"]


def test_what_expands_too_much_is_not_expanded(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 10_000)
    bomb = b"\n" * 1_000_000
    write(tmp_path / "a.jsonl.gz", gzip.compress(bomb))
    zipped(tmp_path / "b.zip", {"a.txt": "good", "b.jsonl": bomb, "c.txt": "never read"})
    assert reasons_of(tmp_path / "a.jsonl.gz", tmp_path / "b.zip") == ["expands_too_much", "", "expands_too_much"]


def test_archives_that_cannot_be_trusted(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {"a.txt": "one", "b.txt": "two"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # of the local header: encrypted
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert reasons_of(write(tmp_path / "b.zip", bytes(data))) == ["encrypted", ""]
    assert reasons_of(write(tmp_path / "c.zip", b"PK\x06\x07" + path.read_bytes())) == ["too_many_files"]
    monkeypatch.setattr(file_kinds, "MAX_MEMBERS", 1)
    assert reasons_of(path) == ["too_many_files"]
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_LZMA) as archive:  # its memory is what the file says
        archive.writestr("a.txt", "one")
    assert reasons_of(tmp_path / "d.zip") == ["unknown_compression"]


# --- hostile and damaged files -------------------------------------------------------------------


def docx(body: str, before: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", f'<?xml version="1.0"?>{before}<w:document xmlns:w="{office.W[1:-1]}">'
                         f"<w:body><w:p><w:r><w:t>{body}</w:t></w:r></w:p></w:body></w:document>")
    return file.getvalue()


def test_entities_of_xml_are_not_expanded(tmp_path):
    secret = write(tmp_path / "secret.txt", "secret")
    laughs = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>'
    for before in (f'<!DOCTYPE a [<!ENTITY c SYSTEM "{secret.as_uri()}">]>', laughs):
        [found] = texts_of(write(tmp_path / "a.docx", docx("good &c;", before)))
        assert found.text == "good"
    assert office._first(None, "title") == ""


def test_damaged_and_locked_files_are_counted_and_the_run_goes_on(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("keeper.docx", "keeper.odt", "keeper.epub"):
        write(folder / name, (FILES / name).read_bytes()[:4000])
    write(folder / "locked.docx", b"\xd0\xcf\x11\xe0" + bytes(1000))
    write(folder / "other.docx", zipped(tmp_path / "other.zip", {"a.txt": "no document"}).read_bytes())
    write(folder / "cut.txt.gz", gzip.compress(PROSE.encode())[:-20])
    write(folder / "cut.warc.gz", warc_member("http://a.example/", b"<p>x")[:-20])
    lock = '<a><CipherReference URI="EPUB/text/ch001.xhtml"/></a>'
    with zipfile.ZipFile(FILES / "keeper.epub") as book, zipfile.ZipFile(folder / "locked.epub", "w") as locked:
        for name in book.namelist():
            locked.writestr(name, book.read(name))
        locked.writestr("META-INF/encryption.xml", lock)
    write(folder / "whole.txt", PROSE)
    stats = extract.run(ONE, tmp_path, files=[folder])
    assert stats.n_out == 2 and stats.n_in == 2 + sum(stats.dropped.values())  # the text, and the locked book's title
    assert stats.dropped == {"damaged": 5, "encrypted": 2, "record_cut_short": 1}


def test_a_folder_is_read_without_what_is_hidden_and_the_rest_is_named(tmp_path, caplog):
    for name in (".git/a.txt", "__pycache__/a.txt", "deep/.a.txt", "deep/b.txt", "c.xyz", "d.xyz", "LICENSE", "e.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, "text")
    (tmp_path / "deep/loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.txt")
    found = list(read_files([tmp_path]))
    assert [Path(one.url).name for one in found if not one.reason] == ["b.txt"]
    assert [one.reason for one in found if one.reason] == ["unknown_kind"] * 4
    assert "skipped: 2 .xyz, 1 without an ending, 1 .png." in caplog.messages[0].replace("LICENSE", "")
    assert [one.text for one in read_files([tmp_path / "LICENSE"])] == ["text"]  # named itself


@pytest.mark.parametrize("data, reason", [
    (b"\x7fELF\x02\x01\x01\x00\x00", "binary"), (bytes(range(1, 32)) * 10, "binary"), ("é".encode("utf-16"), ""),
    ("é".encode("utf-32"), ""), (b"\x1b[31mred\x1b[0m and some more words\n", ""), (b"", "no_text")])
def test_a_binary_is_no_text(tmp_path, data, reason):
    assert reasons_of(write(tmp_path / "a.txt", data)) == [reason]


def test_every_kind_of_file_is_in_the_documentation():
    documented = (PROJECT / "docs/commands.md").read_text()
    assert not [ending for ending in ENDINGS if f"`{ending}`" not in documented]
