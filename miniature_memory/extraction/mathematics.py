"""Mathematics: formulas as text: the TeX on the page, or else symbols in a line.

Pages carry a formula several times: as MathML, as TeX in an annotation, an attribute or a script, as an image, and as
the glyphs that KaTeX and MathJax draw. One of them is kept, in the order above.
"""

import re
from collections.abc import Callable
from itertools import islice

from lxml import etree

from miniature_memory.extraction.survey import Survey
from miniature_memory.extraction.tree_edits import drop, finder, replace, text_in

_PROSE = ("p", "li", "h1", "h2", "h3", "article", "section")
MAX_DEPTH = 60  # guess; what is nested deeper in a formula is joined as it comes
_DRAWN = finder("//mjx-container | //*[contains(@class, 'katex') or contains(@class, 'MathJax')"
                     " or contains(@class, 'MJX') or contains(@class, 'mwe-math-element')]")
_DRAWN_CLASS = re.compile(r"(?:^|\s)(?:katex(?:-display)?|MathJax(?:_\w{1,30})?|MJXc-display|mwe-math-element)(?:\s|$)")
_PREVIEW = re.compile(r"mathjax|mjx", re.IGNORECASE)
MOST_IN_TABLE = 5000  # guess; characters
_EQUATION_NUMBER = re.compile(r"(?:[\[({][\w.\-–*′']{1,12}[\])}]|\d{1,3}(?:\.\d{1,3}){0,3}[a-z]?)?[.,;]?")
_TEX = re.compile(r"\\[a-zA-Z]+|[_^]\{|^\$[^$]+\$$")
_TEX_CLASS = re.compile(r"(?<![a-z])(?:tex|latex|math|equation|formula)(?![a-z])")
_TEX_ADDRESS = re.compile(r"latex|mathtex|mimetex|/math/|cht=tx")
_DISPLAY_STYLE = re.compile(r"\{?\\(?:displaystyle|textstyle)\b\s*(.*)", re.DOTALL)


def write_out_mathematics(found: Survey) -> None:
    """Put text in the place of every formula."""
    for script in found.all("script"):
        if (script.get("type") or "").lower().startswith("math/"):
            _replace_script(script)
    written = [formula for formula in found.all("math", "m:math", "mml:math")
               if next(formula.iterancestors("math", "m:math", "mml:math"), None) is None]
    for table in found.all("table") if written else ():
        _replace_table(table)
    for drawn in _DRAWN(found.root) if written else found.all("mjx-container"):
        formulas = list(islice(drawn.iter("math"), 2))
        if drawn.tag == "mjx-container" or _DRAWN_CLASS.search(drawn.get("class") or ""):
            if len(formulas) == 1 and next(drawn.iter(*_PROSE), None) is None:
                display = _is_display(formulas[0]) or "isplay" in (drawn.get("class") or "")
                replace(drawn, formula_text(formulas[0]), display)
            elif drawn.tag == "mjx-container":
                drawn.tag = "span"  # no block: it is in the middle of a sentence
    for formula in written:
        replace(formula, formula_text(formula), _is_display(formula))
    for image in found.all("img"):
        if tex := _tex_of_image(image):
            replace(image, tex)


def _replace_table(table: etree._Element) -> None:
    """A table that only centres formulas and their numbers becomes a paragraph."""
    formulas = [formula for formula in table.iter("math") if next(formula.iterancestors("math"), None) is None]
    if not formulas or len(text_in(table)) > MOST_IN_TABLE:
        return
    outside = [text for node in table.iter() if next(node.iterancestors("math"), None) is None
               for text in (node.tag != "math" and node.text, node is not table and node.tail) if text]
    if all(_EQUATION_NUMBER.fullmatch(text.strip()) for text in outside):
        replace(table, " ".join(formula_text(formula) for formula in formulas))
        table.tag = "p"


def _is_display(formula: etree._Element) -> bool:
    return formula.get("display") == "block" or formula.get("mode") == "display"


def _replace_script(script: etree._Element) -> None:
    """MathJax's sources; what it has drawn of them stands before each."""
    drawn = script.getprevious()
    while drawn is not None and not (drawn.tail or "").strip() and _PREVIEW.match(drawn.get("class") or ""):
        drop(drawn)
        drawn = drawn.getprevious()
    kind, text = (script.get("type") or "").lower(), script.text or ""
    if "mml" in kind or "asciimath" in kind:
        inner = etree.fromstring(f"<div>{text}</div>", etree.HTMLParser()) if "<" in text else None
        formula = next(inner.iter("math"), None) if inner is not None else None
        text = formula_text(formula) if formula is not None else text
    replace(script, clean_tex(text), "display" in kind)


def _tex_of_image(image: etree._Element) -> str:
    alt = image.get("alt") or ""
    if not alt or len(alt) > 5000:
        return ""
    told = _TEX.search(alt) if "\\" in alt or "{" in alt or "$" in alt else None
    told = told or _TEX_CLASS.search(image.get("class") or "") or _TEX_ADDRESS.search((image.get("src") or "")[:200])
    return clean_tex(alt) if told else ""


def clean_tex(tex: str) -> str:
    """TeX in one line, without what only says how large it is drawn."""
    tex = " ".join(tex.replace("%\n", "").split())
    if len(tex) > 2 and tex[0] == tex[-1] == "$":
        tex = tex.strip("$").strip()
    if found := _DISPLAY_STYLE.fullmatch(tex):
        tex = found[1].strip().removesuffix("}").strip() if tex[0] == "{" else found[1].strip()
    return tex


# --- MathML --------------------------------------------------------------------------------------


def formula_text(formula: etree._Element) -> str:
    """The TeX annotation of a <math>, its alttext, or its symbols in a line."""
    for annotation in formula.iter("annotation"):
        if "tex" in (annotation.get("encoding") or "").lower() and (annotation.text or "").strip():
            return clean_tex(annotation.text or "")
    if alt := (formula.get("alttext") or "").strip():
        return clean_tex(alt)
    return " ".join(_line(formula, 0).split())


_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064"))
_SPACED = frozenset("=+−-±∓×·÷<>≤≥≠≈≡∼≃≅∝→←↔⇒⇐⇔↦∈∉⊂⊆⊃⊇∪∩∧∨∖:∣|≪≫")
_OPERATORS = frozenset("∑∏∐∫∬∮⋃⋂⋁⋀⨁⨂") | {"lim", "max", "min", "sup", "inf"}
_ACCENTS = {"¯": "\u0304", "‾": "\u0304", "^": "\u0302", "ˆ": "\u0302", "~": "\u0303", "˜": "\u0303", "→": "\u20d7",
            "˙": "\u0307", ".": "\u0307", "¨": "\u0308"}


def _line(node: etree._Element, depth: int) -> str:
    """The symbols of one node of presentation MathML in a line: fractions as a/b, scripts as a_i^2."""
    tag = node.tag.rpartition(":")[2] if isinstance(node.tag, str) else ""
    if not tag or tag in ("annotation", "annotation-xml", "mphantom"):
        return ""
    if depth > MAX_DEPTH:
        return text_in(node)
    if not len(node):
        text = (node.text or "").strip().translate(_INVISIBLE)
        return f" {text} " if tag == "mo" and text in _SPACED else f"{text} " if text in (",", ";") else text or \
            (" " if tag == "mspace" else "")
    parts = [_line(child, depth + 1) for child in node if isinstance(child.tag, str)]
    if tag in ("semantics", "maction") or not parts:
        return "".join(parts[:1])
    if tag == "msqrt":
        return "√" + _group("".join(parts).strip())
    if tag in _FORMS:
        return _FORMS[tag]([part.strip() for part in parts])
    if tag == "mfenced":
        separator = (node.get("separators") or ",")[:1]
        inner = f"{separator} ".join(part.strip() for part in parts)
        return (node.get("open") or "(") + inner + (node.get("close") or ")")
    opening, closing = ("(", ")") if tag == "mtable" else ("", "")
    joint = {"mtable": "; ", "mtr": ", ", "mlabeledtr": ", "}.get(tag, "")
    own = (node.text or "").strip() if tag in ("mtext", "mi", "mn", "mo") else ""
    return opening + own + joint.join(parts) + closing


def _group(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() or (text[0] == "(" and text.find(")") == len(text) - 1) \
        else f"({text})"


def _fraction(parts: list[str]) -> str:
    return f"{_group(parts[0])}/{_group(parts[1])}" if len(parts) > 1 else parts[0]


def _scripts(parts: list[str]) -> str:
    """A base with a subscript and a superscript, either of which may be empty."""
    base, below, above = (*parts, "", "")[:3]
    if above in _ACCENTS and not below:
        return base + _ACCENTS[above]
    below = f"_{_group(below)}" if below else ""
    above = above if not above or all(char in "′″‴'*∗†°" for char in above) else f"^{_group(above)}"
    return base + below + above + (" " if base in _OPERATORS else "")  # before what it is of


_FORMS: dict[str, Callable[[list[str]], str]] = {
    "mfrac": _fraction, "msub": _scripts, "munder": _scripts, "msubsup": _scripts, "munderover": _scripts,
    "msup": lambda parts: _scripts([parts[0], "", *parts[1:]]),
    "mover": lambda parts: _scripts([parts[0], "", *parts[1:]]),
    "mroot": lambda parts: f"{parts[1] if len(parts) > 1 else ''}√{_group(parts[0])}"}
