"""A robots.txt, read for us alone: RFC 9309, with the leniency of google/robotstxt towards what people write.

Pure, and linear in the length of the file. Two things differ from google/robotstxt on purpose: percent-encoding is
undone where RFC 9309, section 2.2.2, asks for it, and a line of any length counts as a whole.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote

from miniature_memory.crawl.urls import browser_url
from miniature_memory.responses.signals import forbids_training, names_us

# Its first letters tell what a line is, as in google/robotstxt, which also knows the usual typing errors. Without a
# colon the value must be one word, since prose begins with "allow", too.
_LINE = re.compile(r"(?P<key>user[ -]?agent|diss?all?[oa]w|diasllow|allow|crawl[ -]?delay|content-(?:signal|usage))"
                   r"(?:[^\s:]*[ \t]*:(?P<value>.*)|[ \t]+(?P<word>\S+)$)", re.IGNORECASE | re.DOTALL)
_SITEMAP = re.compile(r"[ \t]*sitemap[ \t]*:[ \t]*(\S+)", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # by quote(), beside letters, digits, "_", "." and "-": reserved characters, RFC 3986


class _Pattern(NamedTuple):
    """A rule with wildcards: its pieces stand in a path one after the other, the first of them at its beginning."""

    length: int
    allowed: bool
    pieces: list[str]
    to_the_end: bool  # of the path, for a "$"

    def matches(self, path: str) -> bool:
        first, *others = self.pieces
        if not path.startswith(first):
            return False
        at = len(first)
        last = others.pop() if others and self.to_the_end else ""
        for piece in others:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        if not self.to_the_end:
            return True
        return at == len(path) if len(self.pieces) == 1 else path.endswith(last) and at + len(last) <= len(path)


@dataclass(eq=False)
class _Group:
    """What all groups for one name say together."""

    plain: dict[str, bool] = field(default_factory=dict)  # the beginning of a path -> whether it is allowed
    patterns: list[_Pattern] = field(default_factory=list)
    delay_sec: float = 0.0
    forbids_training: bool = False

    def add(self, value: str, allowed: bool) -> None:
        rule = _normal(value)
        if not rule:
            return
        if "*" not in rule and not rule.endswith("$"):
            self.plain[_literal(rule)] = allowed or self.plain.get(_literal(rule), False)
            return
        pieces = re.split(r"\*+", rule.removesuffix("$"))
        self.patterns.append(_Pattern(len(rule), allowed, [_literal(piece) for piece in pieces], rule.endswith("$")))


def sitemaps_of(text: str) -> list[str]:
    """The sitemaps that a robots.txt names for everybody (sitemaps.org/protocol.html), by their full address."""
    found = filter(None, map(_SITEMAP.match, re.split(r"\r\n?|\n", text)))
    return list(dict.fromkeys(filter(None, (browser_url(one[1]) for one in found))))


class RobotsTxt:
    """What one robots.txt says to us: the groups that name us, or else those for everybody."""

    def __init__(self, text: str) -> None:
        ours, everybodys = _Group(), _Group()
        current, in_rules = [everybodys], True  # a signal before any group is for everybody
        may_rule = named = False  # but a rule before any group is ignored
        for line in re.split(r"\r\n?|\n", text):
            found = _LINE.match(line.partition("#")[0].strip())
            if not found:
                continue  # unknown lines end no group: RFC 9309, section 2.2.4
            key, value = found["key"].lower(), (found["value"] or found["word"] or "").strip()
            if key.startswith("user"):
                if in_rules:
                    current, in_rules, may_rule = [], False, True
                if names_us(value):
                    current.append(ours)
                    named = True
                elif re.match(r"\*+(\s|$)", value):
                    current.append(everybodys)
            elif key.startswith("content"):
                for group in current:
                    group.forbids_training |= forbids_training(value)
            elif key.startswith("crawl"):
                if number := _NUMBER.match(value):
                    for group in current:
                        group.delay_sec = float(number[0])
            elif may_rule:
                in_rules = True
                # Who is named together with "*" still has rules of their own
                for group in [ours] if ours in current else current:
                    group.add(value, allowed=key == "allow")
        group = ours if named else everybodys
        self.delay_sec, self.forbids_training = group.delay_sec, group.forbids_training
        self._plain = group.plain
        self._lengths = sorted({len(rule) for rule in group.plain}, reverse=True)
        self._patterns = sorted(group.patterns, key=lambda one: (one.length, one.allowed), reverse=True)

    def allows(self, url: str) -> bool:
        """Whether the longest rule that matches `url` allows it, or none matches; of two alike, Allow counts."""
        path = _path(url)
        if path == "/robots.txt":
            return True
        length, allowed = 0, True
        for length in self._lengths:
            if length <= len(path) and (found := self._plain.get(path[:length])) is not None:
                allowed = found
                break
        else:
            length = 0
        for pattern in self._patterns:
            if pattern.length < length or (pattern.length == length and allowed):
                break
            if pattern.matches(path):
                return pattern.allowed
        return allowed


def _path(url: str) -> str:
    """Path and query of a URL, comparable with the pieces of rules."""
    rest = url.partition("#")[0].partition("://")[2]
    start = min((at for at in map(rest.find, "/?") if at >= 0), default=len(rest))
    path = rest[start:]
    return _literal(_normal(path if path.startswith("/") else f"/{path}")).replace("*", "%2A")


def _normal(text: str) -> str:
    """One spelling of each octet: %XX in capitals, but for unreserved characters (RFC 9309, section 2.2.2)."""
    def one(escaped: re.Match[str]) -> str:
        octet = chr(int(escaped[1], 16))
        return octet if octet in _UNRESERVED else escaped[0].upper()
    return _ESCAPED.sub(one, quote(text, safe=_KEPT, errors="replace"))


def _literal(piece: str) -> str:
    """A "$" that is no end of a rule, as a path has it: RFC 9309, section 2.2.3."""
    return piece.replace("$", "%24")
