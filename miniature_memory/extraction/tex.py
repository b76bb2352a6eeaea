"""LaTeX: the text of a .tex file. Linear in the length of the text.

Commands go and their last arguments stay; mathematics stays as it is; headings take Markdown's form; figures, tables,
references, comments and footnotes go. Macros are not expanded, and no other file is read.
"""

import re
import unicodedata

from miniature_memory.extraction.page import Extracted
from miniature_memory.extraction.reading import text_of_file


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


LINE, PARAGRAPH = "\x1e", "\x1f"  # breaks that are meant, unlike those of the source
TOKEN = re.compile(r"\\([a-zA-Z@]+)\*?[ \t]*|\\(.)|(\$\$?)|([{}])|(%[^\n]*(?:\n(?![ \t]*\n)[ \t]*)?)"  # a comment
                   r"|(~|---?|``|'')|[^\\${}~%`'-]+|.", re.DOTALL)
GROUP = re.compile(r"\s?([{\[])")
MATH = _set("equation align gather multline eqnarray displaymath math alignat flalign")
VERBATIM = _set("verbatim lstlisting minted Verbatim")
LEFT_OUT = _set("figure table tabular tabularx longtable tikzpicture thebibliography comment picture wrapfigure "
               "filecontents")
ARGUMENTS_LEFT_OUT = _set(
    "cite citep citet parencite textcite autocite ref eqref pageref autoref cref Cref label bibliography nocite "
    "bibliographystyle usepackage documentclass input include includegraphics vspace hspace setlength addtolength "
    "setcounter addtocounter pagestyle thispagestyle newcommand renewcommand providecommand def let index glossary "
    "footnotemark footnote footnotetext date author thanks hypersetup addcontentsline graphicspath newtheorem "
    "theoremstyle newenvironment geometry pagenumbering color selectlanguage")
FIRST_LEFT_OUT = _set("href textcolor colorbox parbox raisebox scalebox")
HEADINGS = {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5}
SIGNS = {
    "ldots": "…", "dots": "…", "textendash": "–", "textemdash": "—", "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ",
    "OE": "Œ", "o": "ø", "O": "Ø", "aa": "å", "AA": "Å", "l": "ł", "L": "Ł", "i": "ı", "S": "§", "copyright": "©",
    "pounds": "£", "euro": "€", "LaTeX": "LaTeX", "TeX": "TeX", "par": PARAGRAPH, "newline": LINE, "quad": " ",
    "qquad": " ", "item": LINE + "- ", "textbackslash": "\\", "\\": LINE, ",": " ", " ": " ", "\n": " ", "%": "%",
    "&": "&", "_": "_", "#": "#", "$": "$", "{": "{", "}": "}", "~": " ", "``": "“", "''": "”", "--": "–",
    "---": "—"}
ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
           "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a"}
ACCENTED = re.compile(r"\{?\\?([^\W\d_])\}?")


def read_tex(data: bytes) -> Extracted:
    source = text_of_file(data)
    begin, end = source.find(r"\begin{document}"), source.rfind(r"\end{document}")
    names = (re.search(rf"\\{name}\s*\{{([^{{}}]{{1,300}})\}}", source[:200_000]) for name in ("title", "author"))
    title, author = (" ".join(tex_to_text(name[1]).split()) if name else "" for name in names)
    text = tex_to_text(source[begin + len(r"\begin{document}") if begin >= 0 else 0:end if end > begin else None])
    return Extracted(text, title, author, extractor="tex")


def tex_to_text(source: str) -> str:
    text = unicodedata.normalize("NFC", _Reader(source).read())
    text = re.sub(r"\n(?:[ \t]*\n)+", PARAGRAPH, text).replace("\n", " ").replace(PARAGRAPH, LINE + LINE)
    lines = (line[1:] if line.startswith("\t") else " ".join(line.split()) for line in text.split(LINE))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


class _Reader:
    """One pass over a source. What is looked for in vain is not looked for again, so that the pass stays linear."""

    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0
        self.out: list[str] = []
        self.ends: list[str] = []  # of the open groups: what is added where they end
        self.next_end = ""
        self.missing: set[str] = set()

    def read(self) -> str:
        while token := TOKEN.match(self.source, self.at):
            self.at = token.end()
            command, sign, math, brace, comment, typed = token.groups()
            if command:
                self._command(command)
            elif sign and sign in "([":
                self._copy(token.start(), "\\" + ")]"["([".index(sign)])
            elif sign and (accent := ACCENTS.get(sign)):
                self._accent(accent)
            elif math:
                self._copy(token.start(), math)
            elif brace:
                self._brace(brace)
            elif not comment:
                self.out.append(SIGNS.get(typed or sign, "") if typed or sign else token[0])
        return "".join(self.out)

    def _command(self, name: str) -> None:
        if name in ("begin", "end"):
            self._environment(name)
        elif name in HEADINGS:
            self._skip_groups("[")
            self.out.append(PARAGRAPH + "#" * HEADINGS[name] + " ")
            self.next_end = PARAGRAPH
        elif name in ARGUMENTS_LEFT_OUT:
            if name in ("def", "let") and (found := re.compile(r"\\[a-zA-Z@]+[#\d= ]*").match(self.source, self.at)):
                self.at = found.end()
            self._skip_groups("[{")
            if self.out and self.out[-1].endswith(" ") and self.source[self.at:self.at + 1] in (".", ",", ";"):
                self.out[-1] = self.out[-1].rstrip(" ")
        elif name in ACCENTS:
            self._accent(ACCENTS[name])
        elif name == "verb" and self.at < len(self.source):
            self.at += 1
            self._copy(self.at, self.source[self.at - 1], keep_end=False)
        else:
            if name in FIRST_LEFT_OUT:
                self._skip_groups("[{", most=1)
            elif name == "item" or name not in SIGNS:
                self._skip_groups("[")
            self.out.append(SIGNS.get(name, ""))

    def _environment(self, which: str) -> None:
        named = re.compile(r"\s?\{([a-zA-Z]{1,40})(\*?)\}").match(self.source, self.at)
        if named is None:
            return
        start, self.at = self.at - len("\\begin"), named.end()
        name, end = named[1], f"\\end{{{named[1]}{named[2]}}}"
        if which == "begin" and name in MATH:
            self._copy(start, end)
        elif which == "begin" and name in LEFT_OUT:
            if (found := self._find(end)) >= 0:
                self.at = found + len(end)
        elif which == "begin" and name in VERBATIM:
            self._skip_groups("[{")
            if (found := self._find(end)) >= 0:
                code = self.source[self.at:found].strip("\n").split("\n")
                self.out += [(LINE + "\t").join(["", *code]), LINE]  # a tab: the spaces stay
                self.at = found + len(end)
        else:
            self._skip_groups("[{" if name in ("minipage", "multicols") else "[")
            self.out.append(LINE)

    def _find(self, what: str) -> int:
        found = -1 if what in self.missing else self.source.find(what, self.at)
        if found < 0:
            self.missing.add(what)
        return found

    def _copy(self, start: int, end: str, keep_end: bool = True) -> None:
        """Append the source from `start` to `end` as it is."""
        if (found := self._find(end)) >= 0:
            self.at = found + len(end)
            self.out.append(self.source[start:self.at if keep_end else found])

    def _brace(self, brace: str) -> None:
        if brace == "{":
            self.ends.append(self.next_end)
            self.next_end = ""
        elif self.ends:
            self.out.append(self.ends.pop())

    def _accent(self, accent: str) -> None:
        if letter := ACCENTED.match(self.source, self.at):
            self.at = letter.end()
            self.out.append(letter[1] + accent)

    def _skip_groups(self, opening: str, most: int = 9) -> None:
        """Skip the [options] and {arguments} that follow, if they are closed."""
        while most and (group := GROUP.match(self.source, self.at)) and group[1] in opening:
            end = self._end_of(group.end(), group[1])
            if end < 0:
                return
            self.at, most = end, most - 1

    def _end_of(self, start: int, opening: str) -> int:
        """Where the group ends whose content begins at `start`; -1 if it does not end."""
        closing, depth = ("}", 0) if opening == "{" else ("]", 0)
        if closing in self.missing:
            return -1
        for found in BRACKET.finditer(self.source, start):
            if found[0] == closing and depth == 0:
                return found.end()
            depth += (found[0] == "{") - (found[0] == "}")
        self.missing.add(closing)
        return -1


BRACKET = re.compile(r"\\.|[{}\]]", re.DOTALL)
