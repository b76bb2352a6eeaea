"""Notices: lines in which a site speaks about itself, recognized by what they say, never by a word that they mention.

C4 (Raffel et al. 2020) drops every line with "javascript" or "cookie policy", and RefinedWeb (Penedo et al. 2023, arXiv
2306.01116, appendix G.2) every line of digits. Both cost pages that are about such things. Here a line is a notice if
the sentences that address the reader about this site hold at least half of its words; a link or a bare number must be
the whole line.
"""

import re
from collections.abc import Iterator

MAX_CHARS = 400
MAX_WORDS = 40  # a longer line discusses such notices rather than being one
MAX_SHORT_CHARS = 60
MAX_COPYRIGHT_WORDS = 20
MIN_FILLER_WORDS, FILLER_FRAC = 5, 0.67  # guess
_QUOTES = frozenset("\"“”„«»‘'")  # what begins with one is what somebody said

# Whole lines, in lower case. What may stand around a link or a number holds no = / { or other sign of a text.
_AROUND = r"[\s\-–—•·*|<>«»‹›←→↑↓▲▼()\[\].,:!…#+]*"
_COUNTED = (r"(?:likes?|shares?|comments?|replies|reply|views?|votes?|points?|followers?|retweets?|tweets?|pins?"
            r"|reviews?|ratings?|items? in (?:the |your )?cart)")
COUNTER = re.compile(rf"{_AROUND}\d[\d.,]*\s?[km]?{_AROUND}{_COUNTED}{_AROUND}")
COUNTED = re.compile(rf"{_AROUND}{_COUNTED}{_AROUND}")
NUMBER = re.compile(  # one; two are a row, a date or a score, 100 m is a length, 5! a product
    rf"(?!\d+!$)[$€£¥₹]?{_AROUND}[$€£¥₹]?\d+(?:[., ’']\d{{3}})*(?:[.,]\d+)?(?:[km]|\s?[%$€£¥★+])?{_AROUND}")
CALL = re.compile(
    rf"{_AROUND}(?:sign[ -]?in|sign[ -]?up|log[ -]?in|subscribe(?: now)?|read more|continue reading|share this"
    r"|share on (?:facebook|twitter|x|linkedin|whatsapp|reddit|pinterest)|add to (?:cart|basket)|back to top"
    r"|skip to (?:the )?(?:main )?(?:content|navigation)|advertisement|leave a (?:comment|reply)|all rights reserved)"
    rf"{_AROUND}")
_POLICY_LINK = (r"(?:terms of (?:use|service|sale)|terms (?:and|&) conditions"
                r"|(?:privacy|cookie) (?:policy|notice|statement|settings|preferences|choices))")
_LINK = (rf"(?:(?:our |the )?(?:{_POLICY_LINK}|terms|privacy|cookies|legal(?: notice)?|imprint|accessibility|site ?map"
         r"|home|contact(?: us)?|about(?: us)?|faqs?|help|support|press|jobs|careers|all rights reserved"
         r"|do not sell my (?:personal )?(?:info|information)))")
LINKS = re.compile(rf"{_LINK}(?:\s*(?:[|·•,/&–—-]|\band\b)\s*{_LINK})*\W*")
POLICY_LINK = re.compile(_POLICY_LINK)  # without one, "Help" and "Cookies" are headings
COPYRIGHT = re.compile(r"\W*(?i:copyright\W{1,3})?(?:(?:©|\([cC]\))\W?(?i:copyright\W{1,3})?\d{4}|©\W?[A-Z])"
                       r"|(?i:copyright (?:\d{4}|by)\b.*\ball rights reserved\W*$)")  # with its upper case

# What a sentence says at its beginning, in lower case. None searches further than the line, MAX_CHARS long.
_THIS = (r"(?:this|our|the full|these) (?:\w+ )?(?:(?:web ?)?(?:site|page|app|application)|store|shop|forum|blog|portal"
         r"|form|slideshow|video|player|map|content|comments|feature|functionality|experience|service|platform)s?")
_ON = r"(?:enable|turn on|activate|allow|switch on)"
_NEED = r"you(?:['’]ll)? (?:need|have|must) (?:to )?"
_POLICIES = r"(?:privacy|cookies?|terms|conditions of use|data protection)"
_ACT = (r"(?:clicking|continuing|submitting|using|visiting|browsing|signing up|subscribing|registering|creating"
        r"|checking|proceeding|accessing|closing|scrolling|logging in|posting|tapping|providing|accepting|entering)")
_COLLECTS = (r"(?:you|your|our|us|(?:this|the) (?:web ?)?site|accept|consent|polic(?:y|ies)|analytics"
             r"|analy[sz]e|traffic|personali[sz]ed?|ads|advertis\w+|similar|tracking|partners|third[ -]part(?:y|ies))")
_SAYS = (
    # JavaScript is needed, for this page
    rf"please {_ON} (?:\w+ ){{0,3}}javascript",
    rf"{_ON} javascript(?: in your browser)?(?: and cookies)?"
    r"(?: to (?:view|see|use|read|continue|access|load)\b.*)?\W*$",
    rf"(?:to|in order to|for) [^.]{{1,80}}?(?:please |{_NEED}|it is necessary to ){_ON} (?:\w+ ){{0,3}}javascript",
    rf"{_NEED}(?:have )?javascript (?:to be )?"
    r"(?:enabled|turned on|to (?:view|use|run|see|access)|in your browser|\W*$)",
    rf"{_NEED}{_ON} javascript (?:to (?:view|use|run|see|access|continue)|in your)",
    r"(?:it (?:seems|looks|appears)(?: like| that)?(?: you have)? )?javascript "
    r"(?:is|seems to be|appears to be|has been) (?:currently )?"
    r"(?:disabled|not enabled|turned off|blocked|required|not available)"
    rf"(?:\W*$| (?:in|on|by) your|,? (?:please|so)\b| (?:to (?:view|use|see|read|run|access|enjoy)|for|on|by) {_THIS})",
    r"javascript (?:must|needs to|has to) be (?:enabled|turned on)"
    rf"(?:\W*$| (?:in|on) your| (?:to|for|in order to) \w+ (?:\w+ )?(?:{_THIS}|us|properly))",
    rf"javascript (?:not detected|required)(?:\W*$| (?:to|for) (?:{_THIS}|(?:view|use|run|see|read)\b))",
    r"your (?:web )?browser (?:does not |doesn['’]t |must |has to |needs to )?(?:currently )?"
    r"(?:supports?|have|has|recogni[sz]es?) (?:javascript|scripts)\b",
    rf"{_THIS} (?:requires?|needs?|relies on|works best with|uses?|(?:does not|will not|won['’]t) work "
    r"(?:properly )?without) javascript(?: enabled)?(?:\W*$| (?:to |in your|for |and cookies))",
    # cookies are used, here
    rf"{_THIS} (?:(?:uses?|sets?|stores?|employs?|places?) (?:\w+ ){{0,4}}|(?:relies on|makes use of) )cookies\b",
    r"(?:like (?:most|many|other) (?:web)?sites, |(?:with|without|subject to) your (?:\w+ )?(?:consent|permission),? )?"
    r"we (?:and (?:our|selected|third)[^.]{0,40}? )?(?:may )?(?:also |only )?"
    rf"(?:use|set|store|place)s? (?:[\w-]+ ){{0,4}}cookies(?:\W*$|\b[^.]*\b{_COLLECTS}\b)",
    r"we and (?:our|selected|third)[^.]{0,40} (?:use|store|access|process)\b[^.]*\b(?:cookies|on (?:a|your) device)\b",
    r"(?:please |i )?(?:accept|allow|manage|review|agree to|learn more about) (?:the use of )?"
    r"(?:(?:all|our|your|the) )?(?:\w+ )?cookies?"
    r"(?: (?:settings|preferences|policy|(?:and|to) continue|from (?:this|the) (?:web ?)?site))?\W*$",
    # what the reader agrees to, and should read
    rf"(?:by {_ACT}|(?:if|when) you (?:continue|submit|use|sign up))\b[^.]*\byou (?:agree|accept|consent|acknowledge"
    rf"|certify|confirm|are agreeing)\b[^.]*\b(?:{_POLICIES}|policy|policies|guidelines|emails?)\b",
    r"(?:i|you) (?:agree to|accept|consent to|have read)\b[^.]{0,60}\b(?:our|the|this site['’]s) (?:\w+ (?:and |& )?)?"
    rf"{_POLICY_LINK}\W*$",
    r"(?:for (?:more|further) (?:information|details)[^.]{0,40}?,? |to learn more,? )?(?:please )?"
    r"(?:read|see|view|review|check|consult|visit|refer to|learn more|find (?:out )?more)(?: more| out)?(?: in| about)?"
    rf" our (?:\w+ (?:and |& )?){{0,3}}?{_POLICIES}\b",
    r"(?:your privacy is (?:important|protected)|we (?:value|respect|care about) your privacy)\b",
    rf"we(?:['’]ve| have) (?:recently )?updated our (?:\w+ (?:and |& )?){{0,3}}?{_POLICIES}\b",
    r"(?:subscribe to|sign up (?:for|to)|join) (?:our|my) (?:\w+ ){0,3}"
    r"(?:newsletters?|mailing list|email list|updates?)\b",
    r"this (?:site|form|page) is protected by (?:re|h)captcha\b",
    r"your e-?mail address will not be published\b|required fields are marked\b",
    r"enter your e-?mail(?: address)? to (?:subscribe|follow|sign up|receive|get)\b",
    r"(?:it (?:seems|looks) (?:like|that) )?you(?:['’]re| are) using an? (?:outdated|unsupported|old) "
    r"(?:web )?browser\b",
)
SAYS = re.compile(r"(?:(?:oops|sorry|warning|notice|note|attention|please note|important|cookie notice|cookies?)\W+)?"
                  rf"(?:{'|'.join(_SAYS)})")
# The words that printers fill a page with, since the 1960s.
_PASSAGE = (
    "lorem ipsum dolor sit amet consectetur consectetuer adipiscing elit sed do eiusmod tempor incididunt ut labore et "
    "dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo "
    "consequat duis aute irure in reprehenderit voluptate velit esse cillum eu fugiat nulla pariatur excepteur sint "
    "occaecat cupidatat non proident sunt culpa qui officia deserunt mollit anim id est laborum")
_FILLER = frozenset(_PASSAGE.split())
_LETTERS = re.compile(r"[^\W\d_]+")


def is_notice(line: str) -> str:
    """Why a line is removed: counter, call, number, policy or javascript; "" if it stays. Pure."""
    if line[:1].isspace() or len(line) > MAX_CHARS:
        return ""  # indented: code or verse
    lower = line.lower()
    if len(line) <= MAX_SHORT_CHARS:
        for reason, pattern in (("counter", COUNTER), ("call", CALL), ("number", NUMBER)):
            if pattern.fullmatch(lower) and not (reason == "call" and _is_step(lower)):
                return reason
    n_words = len(lower.split())
    if n_words > MAX_WORDS or lower[:1] in _QUOTES:
        return ""
    if (LINKS.fullmatch(lower) and POLICY_LINK.search(lower)) or (
            n_words <= MAX_COPYRIGHT_WORDS and COPYRIGHT.match(line)):
        return "policy"
    said = [sentence for sentence in sentences(lower) if SAYS.match(sentence)]
    if 2 * sum(len(sentence.split()) for sentence in said) < n_words or not said:
        return ""
    return "javascript" if "javascript" in said[0] else "policy"


def _is_step(lower: str) -> bool:
    """Whether a call to action ends as a sentence does: links do not."""
    return lower.endswith(".") and not lower.endswith(("..", "reserved."))


def is_filler(line: str) -> bool:
    """Whether a line is nothing but lorem ipsum. One that mentions or quotes it is not."""
    lower = line[:MAX_CHARS].lower()
    first = _LETTERS.match(lower)
    if not first or first[0] not in _FILLER:
        return False
    words = _LETTERS.findall(lower)
    return len(words) >= MIN_FILLER_WORDS and sum(word in _FILLER for word in words) >= FILLER_FRAC * len(words)


def sentences(line: str) -> Iterator[str]:
    """The sentences of a short line."""
    yield from re.split(r"(?<=[.!?])\s+", line.strip(" \t*•-–—|"))
