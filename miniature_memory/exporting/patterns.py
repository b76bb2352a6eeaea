"""Patterns: the regular expression of a tokenizer, as JavaScript has it.

JavaScript has no possessive quantifiers, in older browsers no groups that ignore case, and a \\s that is not Unicode's
white space. What is not known here is refused, so that no page splits text in another way than its model does.
"""

import re

IN_CLASS = r"\\[pP]\{[LNM][a-z]?\}|\\[sSrnt]"
ATOM = rf"\[\^?(?:{IN_CLASS}|[^\\\[\]&~^-])+\]|{IN_CLASS}|\(\?s:\.\)|[^\\\[\](){{}}*+?|^$.0-9]"
PIECE = re.compile(rf"(?P<atom>{ATOM})(?P<count>[?*+]|\{{\d+(?:,\d*)?\}})?(?P<possessive>\+)?"
                   r"|(?P<open>\(\?i:|\(\?:|\(\?!)|(?P<close>\)[?*+]?)|(?P<other>\||\$)")
IN_JAVASCRIPT = {r"\s": r"\p{White_Space}", r"\S": r"\P{White_Space}", "(?s:.)": "[^]"}
OTHER_CASES = {"s": "ſ", "k": "\u212a"}  # besides upper and lower case


def in_javascript(pattern: str) -> str:
    """The pattern for new RegExp(pattern, "u"), which finds the same. Raises ValueError for what it cannot express."""
    result, groups, at, n_captured = "", list[str](), 0, 0
    while at < len(pattern):
        piece = PIECE.match(pattern, at)
        if piece is None or (piece["close"] and not groups):
            raise ValueError(pattern[at:at + 20])
        at = piece.end()
        if piece["atom"]:
            atom = translated(piece["atom"], "(?i:" in groups) + (piece["count"] or "")
            if piece["possessive"]:  # what a lookahead has found stays as it is
                n_captured += 1
                atom = rf"(?=({atom}))\{n_captured}"
            result += atom
        elif piece["open"]:
            groups.append(piece["open"])
            result += piece["open"].replace("(?i:", "(?:")
        else:
            groups = groups[:-1] if piece["close"] else groups
            result += piece[0]
    if groups:
        raise ValueError("a group without end")
    return result


def translated(atom: str, ignores_case: bool) -> str:
    parts = re.findall(rf"{IN_CLASS}|\(\?s:\.\)|.", atom, re.DOTALL)
    parts = [IN_JAVASCRIPT.get(part) or (cases(part) if ignores_case else part) for part in parts]
    inner = "".join(parts)
    return f"[{inner}]" if ignores_case and len(atom) == 1 and len(inner) > 1 else inner


def cases(char: str) -> str:
    """A letter in both cases, and what else is equal to it without regard to case; any other character as it is."""
    if not (char.isascii() and char.isalpha()):
        return char
    return char.lower() + char.upper() + OTHER_CASES.get(char.lower(), "")
