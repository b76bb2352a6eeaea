"""Privacy: e-mail addresses, telephone numbers, public IP addresses, card numbers and IBANs, masked by plain words.

Card numbers and IBANs count only if their check digits are right, e-mail addresses only if their domain can exist; an
IP address must not read as a version or the number of a section. What is masked follows FineWeb and Dolma; the masks
are words because special tokens would take room in a small vocabulary. Masking is idempotent. bench/privacy.py measures
what is found and what is not.
"""

import ipaddress
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from miniature_memory.cleaning.phone_numbers import phone_numbers

Found = Iterator[tuple[int, int]]  # where each one begins and ends

# --- e-mail addresses ----------------------------------------------------------------------------

# No letter class would do: names in many scripts have combining marks. So all but marks that end a word.
_MARKS = r"\s@＠<>()\[\]{},;:&\"“”„«»|\\/=…!?*'’‘`，；：、（）。．｡"
_LABEL = rf"[^{_MARKS}.]{{1,63}}"
_DOT = r"[.。．｡]"
_EMAIL = re.compile(rf"(?<![^{_MARKS}])[^{_MARKS}]{{1,64}}[@＠](?:{_LABEL}{_DOT}){{1,8}}{_LABEL}")
_SPELLED = re.compile(r"(?<![\w.+-])[\w.+-]{1,64} ?[\[(] ?at ?[\])] ?"
                      r"(?:[\w-]{1,63}(?: ?[\[(] ?dot ?[\])] ?|\.)){1,8}[a-z]{2,24}(?!\w)", re.IGNORECASE)
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SCALE = re.compile(r"\d+(?:\.\d+)?x\.")  # icon@2x.png
_REMOTE = re.compile(r"(?:ssh|git|svn|hg|sftp|https?)(?:\+\w+)?://$")


def email_addresses(text: str) -> Found:
    if "@" in text or "＠" in text:
        for found in _EMAIL.finditer(text):
            if place := _address(text, found):
                yield place
    if "(at" in text.lower() or "[at" in text.lower():
        for found in _SPELLED.finditer(text):
            if _is_top_level(re.split(r"\W+", found[0])[-1]):
                yield found.span()


def _address(text: str, found: re.Match[str]) -> tuple[int, int] | None:
    """The address within what looks like one; None if it is none."""
    local, _, domain = found[0].replace("＠", "@").partition("@")
    start, end = found.span()
    *_, last = re.split(_DOT, domain)
    if domain.isascii() or last[:1].isascii():  # in a script without spaces, words stand right before and after it
        cut = max((mark.end() for mark in _NO_SPACES.finditer(local)), default=0)
        start += cut if cut < len(local) else 0
        if after := _NO_SPACES.search(last):
            end -= len(last) - after.start()
            last = last[:after.start()]
    last_plain = last.rstrip("-_~+")
    end -= len(last) - len(last_plain)
    follows = text[end:end + 2]
    if not _is_top_level(last_plain) or _SCALE.match(domain) or follows[:1] in ("(", "@"):
        return None  # a picture's name, a product of matrices
    if re.match(r":[^\W\d]|:[/~.]", follows):
        return None  # a remote of scp or git: git@github.com:org/repo
    before = text[max(0, start - 12):start]
    if before.endswith("@") or _REMOTE.search(before.lower()) or local.startswith(".") or local.endswith("."):
        return None
    return start, end


def _is_top_level(label: str) -> bool:
    return unicodedata.normalize("NFKC", label).lower() in _top_level_domains()


@cache
def _top_level_domains() -> frozenset[str]:
    """IANA's list, in both spellings: xn--p1ai and рф."""
    import idna

    lines = (Path(__file__).parent / "top_level_domains.txt").read_text(encoding="ascii").splitlines()
    labels = [label for line in lines if not line.startswith("#") for label in line.split()]
    return frozenset([*labels, *(idna.decode(label) for label in labels if label.startswith("xn--"))])


# --- bank accounts and cards ---------------------------------------------------------------------

_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_CARD = re.compile(r"(?<![\w.-])(?<!\d )(?:[2-6]\d{14,15}|[2-6]\d{3}([ \u00a0\u202f-])\d{4}\1\d{4}\1\d{4}"
                   r"|3\d{3}([ \u00a0\u202f-])\d{6}\2\d{5})(?![\w-]| \d)")


def bank_accounts(text: str) -> Found:
    return (found.span() for found in _IBAN.finditer(text) if _is_iban(found[0]))


def card_numbers(text: str) -> Found:
    return (found.span() for found in _CARD.finditer(text) if _is_card(found[0]))


def _is_iban(number: str) -> bool:
    """The check digits (ISO 13616): the number, its head moved to the end, is 1 modulo 97."""
    compact = number.replace(" ", "")
    return 15 <= len(compact) <= 34 and int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_card(number: str) -> bool:
    """The Luhn check (ISO/IEC 7812-1); of those that begin with 2, Mastercard's 2221 to 2720."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    if digits[0] == 2 and not 2221 <= int("".join(map(str, digits[:4]))) <= 2720:
        return False
    digits.reverse()
    return len(set(digits)) > 1 and sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


# --- IP addresses --------------------------------------------------------------------------------

_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])")
# Before a number, these mean that it is a version or a section, or that it is an address.
_VERSION = re.compile(r"(?:\bv|\bver\b|version|release|section|chapter|§|update|upgrade|firmware|build|driver|patch"
                      r"|kernel|\bsdk|==|/)[^\n]{0,24}$", re.IGNORECASE)
_MACHINE = re.compile(r"(?<!\[)\b(?:ip|ips|ipv4|address(?!\])|server|serveur|servidor|host|dns|router|gateway|proxy"
                      r"|ping|node|adresse|dirección|indirizzo|nameserver|subnet|connect|telnet|ssh|curl)\b",
                      re.IGNORECASE)
_PRODUCT = re.compile(r"\b[A-Z]\w+ $")
_HEADING = re.compile(r" +[A-ZÀ-ÞΑ-ΩА-Я]")  # 3.2.1.1 Installing
SMALL = 100  # versions and sections are of numbers below it; most addresses have one above it
CONTEXT_CHARS = 40


def ip_addresses(text: str) -> Found:
    if "." in text:
        for found in _IPV4.finditer(text):
            if _is_public(found[0]) and _is_of_machine(text, found):
                yield found.span()
    if ":" in text:
        for found in _IPV6.finditer(text):
            if _is_public(found[0]):
                yield found.span()


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _is_of_machine(text: str, found: re.Match[str]) -> bool:
    """Whether four numbers with dots between them are an address rather than a version or a section's number."""
    before = text[max(0, found.start() - CONTEXT_CHARS):found.start()].rpartition("\n")[2]
    after = text[found.end():found.end() + CONTEXT_CHARS].partition("\n")[0]
    is_small = max(map(int, found[0].split("."))) < SMALL
    if is_small and not before.strip() and _HEADING.match(after):
        return False
    if _MACHINE.search(before):
        return True
    if _VERSION.search(before):
        return False
    if is_small:
        return bool(_MACHINE.search(after) or _IPV6.search(after) or _IPV6.search(before))
    return not (_PRODUCT.search(before) and ".0." in found[0])


# --- masking -------------------------------------------------------------------------------------


def mask(text: str, language: str = "en") -> tuple[str, Counter[str]]:
    """`text`, which is in `language`, with personal data masked, and how often each kind was found. Pure."""
    counts: Counter[str] = Counter()
    has_digit = any(map(str.isdigit, text)) if not text.isascii() else any(map(text.__contains__, "0123456789"))
    finders: list[tuple[str, Callable[[str], Found]]] = [("email address", email_addresses)]
    if has_digit:
        finders += [("bank account", bank_accounts), ("card number", card_numbers), ("IP address", ip_addresses),
                    ("phone number", lambda text: phone_numbers(text, language))]
    for kind, find in finders:
        pieces, end = [], 0
        for start, stop in sorted(find(text)):  # a finder may look for one form after the other
            if start >= end:
                pieces += [text[end:start], f"[{kind}]"]
                end = stop
        if pieces:
            counts[kind] += len(pieces) // 2
            text = "".join(pieces) + text[end:]
    return text, counts
