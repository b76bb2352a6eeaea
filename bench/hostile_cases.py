"""Hostile cases: what bench/hostile_web.py serves, and the reasons that a person would expect in the catalog."""

import functools
import gzip
import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import brotli
import zstandard

RESET = None
Piece = bytes | float | None  # bytes to send, seconds of silence, or RESET: tear the connection down


class Asked(NamedTuple):
    host: str  # address:port
    path: str
    canary: int  # a port of 127.0.0.1 and ::1 that nobody may connect to


Answer = Callable[[Asked], Iterator[Piece]]


class Case(NamedTuple):
    name: str
    answer: Answer
    expected: str  # the reasons that a person would expect to read, divided by spaces
    robots: Answer | None = None
    url: str = "http://{host}/page"
    certificate: str = ""  # the host speaks TLS with it
    text: str | None = None  # what the document must hold; NOTHING: there must be no document


NOTHING = ""
SENTENCE = "The old ship left the harbour in the morning light, and the captain looked at the sky and said nothing. "
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
CHUNKED, LENGTH = HTML + b"Transfer-Encoding: chunked\r\n\r\n", HTML + b"Content-Length: "


def say(*pieces: Piece) -> Answer:
    return lambda asked: iter(pieces)


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Answer:
    return lambda asked: itertools.chain([head], itertools.cycle([piece, pause]))


def sized(body: bytes, head: bytes = HTML) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def after(head: bytes) -> Answer:
    """A page of prose behind a head that is odd. It differs from host to host, so that none is a duplicate."""
    return lambda asked: iter([
        head + f"<html><body><article><p>{SENTENCE * 5}{asked.host}</p></article></body></html>".encode()])


PROSE = after(HTML + b"\r\n")


def redirect(location: str | bytes, body: Answer | None = None) -> Answer:
    """To `location`, in which {host} and {canary} are filled in; /good is a page."""
    def answer(asked: Asked) -> Iterator[Piece]:
        to = location if isinstance(location, bytes) else location.format(**asked._asdict()).encode()
        head = b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\n"
        if asked.path == "/good":
            yield from PROSE(asked)
        elif body:
            yield head + b"\r\n"
            yield from body(asked)
        else:
            yield sized(b"moved", head)
    return answer


class Lazy:
    """A large answer: made in the server alone, before anything is asked."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self.made = functools.cache(make)

    def __call__(self, asked: Asked) -> Iterator[Piece]:
        yield self.made()


@functools.cache
def zeros(wbits: int, flush: int) -> bytes:
    """100 MB of zeros in 97 KB."""
    packer = zlib.compressobj(9, wbits=wbits)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush(flush)


def gzip_bomb(gigabytes: int) -> bytes:
    return zeros(31, zlib.Z_FINISH) * (10 * gigabytes)


def deflate_bomb() -> bytes:
    return zeros(-15, zlib.Z_FULL_FLUSH) * 40  # after a full flush the same block may follow again


def packed(encoding: bytes, make: Callable[[], bytes]) -> Answer:
    return Lazy(lambda: sized(make(), HTML + b"Content-Encoding: " + encoding + b"\r\n"))


def rules(make: Callable[[], str]) -> Answer:
    return Lazy(lambda: sized(make().encode(), b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"))


def lines(form: str, count: int) -> str:
    return "".join(form.format(n) + "\n" for n in range(count))


def page(make: Callable[[], bytes]) -> Answer:
    return Lazy(lambda: sized(b"<html><body><article>" + make() + b"</article></body></html>"))


def links(asked: Asked) -> Iterator[Piece]:
    """Links and a base that lead to the canary, among ten thousand others."""
    canary = f"http://127.0.0.1:{asked.canary}/"
    others = "".join(f"<a href='http://10.0.{n >> 8}.{n & 255}/'>{n}</a> " for n in range(10_000))
    yield sized(f"<head><base href='{canary}'></head><body><p>"
                f"{SENTENCE * 5}{asked.host}</p><a href='x'>x</a><a href='{canary}y'>y</a>{others}</body>".encode())


def refresh(asked: Asked) -> Iterator[Piece]:
    yield sized(f"<meta http-equiv=refresh content='0;url=http://127.0.0.1:{asked.canary}/'>".encode())


WESTERN, EURO = "Les élèves déjeunent à Besançon près du château", "Le café coûte 5 € à la crémerie"
CENTRAL, TURKISH = "Příliš žluťoučký kůň úpěl ďábelské ódy", "Pijamalı hasta yağız şoföre çabucak güvendi"
BALTIC, CYRILLIC = "Glāžšķūņa rūķīši dzērumā čiepj", "Съешь же ещё этих мягких французских булок"
GREEK, HEBREW, ARABIC = "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία", "דג סקרן שט בים מאוכזב", "نص حكيم له سر قاطع"
THAI, KOREAN = "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า", "키스의 고유조건은 입술끼리 만나야 하고"
JAPANESE, SIMPLE, TRADITIONAL = "いろはにほへと散りぬるを東京都", "天地玄黄宇宙洪荒中文网页", "天地玄黃宇宙洪荒中文網頁"

HONEST = {  # charset -> text; what the label says is what the bytes are
    "windows-1252": EURO, "iso-8859-1": WESTERN, "iso-8859-15": EURO, "macintosh": WESTERN, "iso-8859-2": CENTRAL,
    "windows-1250": CENTRAL, "iso-8859-4": BALTIC, "iso-8859-13": BALTIC, "windows-1257": BALTIC,
    "iso-8859-5": CYRILLIC, "windows-1251": CYRILLIC, "koi8-r": CYRILLIC, "koi8-u": CYRILLIC, "ibm866": CYRILLIC,
    "iso-8859-6": ARABIC, "windows-1256": ARABIC, "iso-8859-7": GREEK, "windows-1253": GREEK, "iso-8859-8": HEBREW,
    "windows-1255": HEBREW, "iso-8859-9": TURKISH, "windows-1254": TURKISH, "tis-620": THAI, "shift_jis": JAPANESE,
    "euc-jp": JAPANESE, "iso-2022-jp": JAPANESE, "gb2312": SIMPLE, "gbk": SIMPLE, "gb18030": SIMPLE,
    "big5": TRADITIONAL, "big5-hkscs": TRADITIONAL, "euc-kr": KOREAN, "utf-8": CYRILLIC}
WIDE = [("utf-16", "utf-16", CYRILLIC), ("utf-16le", "utf-16-le", CYRILLIC), ("utf-16be", "utf-16-be", CYRILLIC),
        ("utf-8", "utf-8-sig", GREEK), ("", "utf-16", JAPANESE), ("", "utf-8-sig", JAPANESE)]  # in the header alone
BROWSERS = [  # names and ranges that browsers know, after encoding.spec.whatwg.org
    ("gb2312", "gbk", "朱镕基的喆字"), ("shift_jis", "cp932", "①髙橋さんと﨑山さん"),
    ("euc-kr", "cp949", "똠방각하 펲시콜라"), ("ks_c_5601-1987", "cp949", "똠방각하의 아이"),
    ("iso-8859-9", "cp1254", "Şoför “güvendi” dedi"), ("iso-8859-1", "cp1252", "“Élève” — œuvre"),
    ("x-sjis", "cp932", JAPANESE), ("windows-31j", "cp932", JAPANESE),
    ("windows-874", "cp874", THAI), ("iso-8859-11", "cp874", THAI), ("x-gbk", "gbk", SIMPLE),
    ("windows-949", "cp949", KOREAN), ("x-cp1251", "cp1251", CYRILLIC), ("x-x-big5", "big5", TRADITIONAL),
    ("iso-8859-8-i", "iso-8859-8", HEBREW), ("unicode-1-1-utf-8", "utf-8", GREEK)]
BROKEN = {"utf-8": GREEK, "shift_jis": JAPANESE, "gb18030": SIMPLE, "euc-kr": KOREAN}  # one byte is; the rest is fine
# labels that are no charset of the web, or not the page's: the bytes are UTF-8, and that is to be seen from them
LYING = ["ascii", "iso-8859-1", "x-nonsense", "", "none", "utf-7", "punycode", "idna", "unicode_escape", "rot13",
         "zlib", "base64", "undefined", "a" * 20_000, "utf-8, utf-16", "../../etc/passwd"]
MOJIBAKE = [("utf-8", "koi8-r", CYRILLIC), ("koi8-r", "windows-1251", CYRILLIC), ("shift_jis", "gb18030", SIMPLE),
            ("utf-16", "iso-8859-1", WESTERN), ("big5", "utf-16", CENTRAL)]  # nobody knows what it says


def charset_page(label: str, codec: str, text: str, where: str = "header", bad: bytes = b"") -> Answer:
    """A page in `codec` that says it is in `label`: in the header or in a <meta>."""
    def answer(asked: Asked) -> Iterator[Piece]:
        meta = f'<meta charset="{label}">' if where == "meta" else ""
        body = (f"<html><head>{meta}<title>x</title></head><body><article><p>{text} {asked.host}</p>"
                + f"<p>{SENTENCE * 4}</p>" * 2 + "</article></body></html>").encode(codec)
        charset = f"; charset={label}" if where == "header" else ""
        yield sized(body.replace(b"sky", bad, 1) if bad else body,
                    f"HTTP/1.1 200 OK\r\nContent-Type: text/html{charset}\r\n".encode())
    return answer


def charset_cases() -> Iterator[Case]:
    told = [(kind, *triple, "header") for kind, triples in (("wide", WIDE), ("browsers", BROWSERS))
            for triple in triples]
    told += [("honest", label, label, text, where) for label, text in HONEST.items() for where in ("header", "meta")]
    told += [("lying", label, "utf-8", GREEK, where) for label in LYING for where in ("header", "meta")]
    told += [("lying", label, "utf-8", GREEK, "meta") for label in ("utf-16", "\0")]
    for kind, label, codec, text, where in told:
        yield Case(f"charset_{kind}_{where}_{label[:20]}_{codec}", charset_page(label, codec, text, where), "fetched",
                   text=text)
    for label, text in BROKEN.items():
        yield Case(f"charset_broken_{label}", charset_page(label, label, text, bad=b"\xff sky"), "fetched", text=text)
    for label, codec, text in MOJIBAKE:
        yield Case(f"charset_mojibake_{label}_{codec}", charset_page(label, codec, text), "fetched")


EITHER = "bad_response fetched"  # the fault may be forgiven
LARGE = "bad_response too_big"
BLOCKED = ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data", "http://127.0.0.1:{canary}/",
           "http://[::1]:{canary}/", "http://[::ffff:127.0.0.1]:{canary}/", "http://0x7f.1:{canary}/",
           "http://2130706433:{canary}/", "https://127.0.0.1:{canary}/", "http://localhost:{canary}/",
           "http://0.0.0.0:{canary}/", "http://{host}@127.0.0.1:{canary}/"]
NOWHERE = ["http://" + "a." * 1000 + "example/", "ftp://{host}/", "javascript:alert(1)", "file:///etc/passwd",
           "data:text/html,x", "http://[", "http://:80/", "http://{host}9999/", "http://a b/", "http://\0/"]
RETRY_AFTER = ["-1", "1e9", "9" * 400, "soon", "", "\xb2", "Mon, 01 Jan 2030 00:00:00 +99999999999999999",
               "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 0000 00:00:00 GMT"]
TLS = "https://{host}/page"


def status(line: bytes) -> bytes:
    return HTML.replace(b"HTTP/1.1 200 OK", line)


CASES = [
    # slow, and without an end
    Case("trickle_body", endless(HTML + b"\r\n", b"x", 1.0), "timeout"),
    Case("trickle_headers", endless(HTML, b"X", 1.0), "timeout"),
    Case("trickle_status", endless(b"H", b"T", 1.0), "timeout"),
    Case("silence", say(30.0), "timeout"),
    Case("silence_in_the_body", say(LENGTH + b"1000\r\n\r\npart", 30.0), "timeout"),
    Case("endless_body", endless(HTML + b"\r\n", b"x" * 65536), "too_big"),
    Case("endless_chunked", endless(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"), "too_big"),
    Case("endless_tiny_chunks", endless(CHUNKED, b"1\r\nx\r\n" * 4096, 0.01), "too_big timeout"),
    Case("endless_chunk_size", endless(CHUNKED, b"1" * 65536), LARGE),
    Case("endless_trailers", endless(CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 99, 0.01), LARGE + " timeout"),
    Case("endless_trailer_line", endless(CHUNKED + b"1\r\nx\r\n0\r\n", b"x" * 65536), LARGE),
    Case("endless_status_line", endless(b"HTTP/1.1 200 ", b"x" * 65536), LARGE),
    Case("endless_header", endless(HTML + b"X: ", b"x" * 65536), LARGE),
    Case("endless_continue", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20, 0.01), LARGE + " timeout"),
    # bombs
    Case("gzip_bomb_10_gb", packed(b"gzip", lambda: gzip_bomb(10)), "too_big"),
    Case("gzip_bomb_4_gb", packed(b"gzip", lambda: gzip_bomb(4)), "too_big"),  # short enough to be unpacked
    Case("gzip_in_gzip", packed(b"gzip, gzip", lambda: gzip.compress(gzip_bomb(10))), "too_big bad_encoding"),
    Case("gzip_members", packed(b"gzip", lambda: gzip.compress(b"x", 1) * 230_000), "fetched too_big bad_encoding"),
    Case("deflate_bomb", packed(b"deflate", lambda: b"\x78\xda" + deflate_bomb()), "too_big"),
    Case("deflate_bomb_bare", packed(b"deflate", deflate_bomb), "too_big"),
    Case("brotli_bomb", packed(b"br", lambda: brotli.compress(bytes(100_000_000), quality=1)), "too_big"),
    Case("zstd_bomb", packed(b"zstd", lambda: zstandard.compress(bytes(100_000_000)) * 10), "too_big"),
    Case("gzip_that_is_none", packed(b"gzip", lambda: b"<p>text"), "fetched"),
    Case("gzip_cut_off", packed(b"gzip", lambda: gzip.compress(b"<p>text" * 99)[:-9]), "bad_encoding bad_response"),
    Case("encoding_unknown", packed(b"none", lambda: b"<p>text, not packed"), "fetched"),
    Case("brotli_that_is_none", packed(b"br", lambda: bytes(99)), "bad_encoding"),
    Case("encoding_flood", packed(b"gzip, " * 999 + b"gzip", lambda: b"<p>text"), "bad_encoding bad_response"),
    # redirects
    Case("redirect_to_itself", redirect("/page"), "too_many_redirects"),
    Case("redirect_ring", lambda asked: redirect("/b" if asked.path == "/page" else "/page")(asked),
         "too_many_redirects"),
    Case("redirect_chain", lambda asked: redirect(asked.path + "x")(asked), "too_many_redirects"),
    Case("redirect_growing", lambda asked: redirect(asked.path * 8)(asked), "too_many_redirects bad_redirect"),
    Case("redirect_with_endless_body", redirect("/good", endless(b"", b"x" * 65536)), "fetched"),
    Case("redirect_with_slow_body", redirect("/good", endless(b"", b"x", 1.0)), "fetched"),
    Case("redirect_bytes", redirect(b"\xff\xfe\xfd"), "too_many_redirects bad_redirect"),
    Case("redirect_without_location", say(sized(b"x", b"HTTP/1.1 302 Found\r\n")), "http_302 bad_redirect"),
    Case("redirect_blocked_later", lambda asked: redirect("/b" if asked.path == "/page" else BLOCKED[2])(asked),
         "blocked_address"),
    *[Case(f"redirect_blocked_{n}", redirect(to), "blocked_address redirected")  # two of these URLs are the same
      for n, to in enumerate(BLOCKED)],
    *[Case(f"redirect_nowhere_{n}", redirect(to), "bad_redirect") for n, to in enumerate(NOWHERE)],
    # addresses given directly
    *[Case(f"given_{n}", say(), "blocked_address", url=url + "given") for n, url in enumerate(BLOCKED)],
    Case("given_1000_labels", say(), "bad_url", url=NOWHERE[0]),
    Case("given_120_labels", say(), "unreachable timeout", url="http://" + "a." * 120 + "invalid/"),
    # chunks and lengths
    Case("chunk_bad_size", say(CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n"), "bad_response"),
    Case("chunk_too_long", say(CHUNKED + b"ffff\r\nhello\r\n"), "bad_response"),
    Case("chunk_huge", endless(CHUNKED + b"ffffffffffffffff\r\n", b"x" * 65536), LARGE),
    Case("chunk_negative", say(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"), "bad_response"),
    Case("chunk_minus_one", endless(CHUNKED + b"-1\r\n", b"x" * 65536), LARGE),
    Case("chunk_without_end", say(CHUNKED + b"5\r\nhello\r\n"), EITHER),
    Case("chunk_with_length", say(LENGTH + b"3\r\n" + CHUNKED[len(HTML):] + b"5\r\n<p>hi\r\n0\r\n\r\n"), EITHER),
    Case("length_too_long", say(LENGTH + b"1000\r\n\r\n<p>text"), "bad_response"),
    Case("length_too_short", say(LENGTH + b"3\r\n\r\n<p>text"), EITHER),
    Case("length_negative", after(LENGTH + b"-5\r\n\r\n"), EITHER),
    Case("length_word", after(LENGTH + b"many\r\n\r\n"), EITHER),
    Case("length_5000_digits", after(LENGTH + b"9" * 5000 + b"\r\n\r\n"), EITHER + " too_big"),
    Case("length_two", after(LENGTH + b"5\r\nContent-Length: 500\r\n\r\n"), EITHER),
    Case("length_superscript", say(b"HTTP/1.1 404 No\r\nContent-Length: \xb2\r\n\r\nno"), "http_404 bad_response"),
    # headers
    Case("headers_10000", after(HTML + b"X-Flood: 1\r\n" * 10_000 + b"\r\n"), EITHER),
    Case("headers_6_mb", after(HTML + (b"X: " + b"y" * 65_000 + b"\r\n") * 90 + b"\r\n"), EITHER + " too_big"),
    Case("header_10_mb", after(HTML + b"X: " + b"y" * 10_000_000 + b"\r\n\r\n"), LARGE),
    Case("header_without_colon", after(HTML + b"nonsense\r\n\r\n"), EITHER),
    Case("header_without_colon_first", after(status(b"HTTP/1.1 200 OK\r\nnonsense") + b"\r\n"), EITHER),
    Case("header_nul", after(HTML + b"X: a\0b\x01\x1b[31mc\r\nETag: \"\x1b]0;x\"\r\nX\0Y: 1\r\n\r\n"), EITHER),
    Case("header_type_twice", after(HTML + b"Content-Type: text/html\r\n\r\n"), "fetched"),
    Case("header_multipart", after(HTML + b"Content-Type: multipart/mixed; boundary=a\r\n--a\r\n\r\n"),
         EITHER + " not_html unknown_type"),
    Case("cookie_flood", after(HTML + (b"Set-Cookie: a=" + b"b;" * 30_000 + b"\r\n") * 90 + b"\r\n"),
         EITHER + " too_big"),
    Case("cookie_year", after(HTML + b"Set-Cookie: a=b; expires=1 Jan " + b"9" * 5000 + b" 0:00\r\n\r\n"), EITHER),
    # status lines
    Case("status_garbage", say(b"\0\1\2\3 garbage\r\n\r\n" * 100), "bad_response"),
    Case("status_http_0_9", say(b"<html><p>text</html>\n"), "bad_response"),
    Case("status_999", after(status(b"HTTP/1.1 999 No") + b"\r\n"), "http_999"),
    Case("status_1000", after(status(b"HTTP/1.1 1000 No") + b"\r\n"), "bad_response"),
    Case("status_negative", after(status(b"HTTP/1.1 -1 No") + b"\r\n"), "bad_response"),
    Case("status_icy", after(status(b"ICY 200 OK") + b"\r\n"), "bad_response"),
    Case("status_http_9", after(status(b"HTTP/9.9 200 OK") + b"\r\n"), EITHER),
    Case("status_101", after(status(b"HTTP/1.1 101 Switch") + b"\r\n"), "http_101 bad_response"),
    Case("status_103_then_200", after(b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n" + HTML + b"\r\n"), "fetched"),
    Case("status_204_with_body", say(sized(b"<p>text", status(b"HTTP/1.1 204 None"))), "http_204 empty"),
    Case("status_206_unasked", say(sized(b"<p>text", status(b"HTTP/1.1 206 Part"))), "http_206"),
    Case("status_304_unasked", say(status(b"HTTP/1.1 304 Same") + b"\r\n"), "http_304"),
    Case("status_without_phrase", after(status(b"HTTP/1.1 200") + b"\r\n"), "fetched"),
    Case("status_phrase_escapes", after(status(b"HTTP/1.1 200 \x1b[31m\xff\xfe") + b"\r\n"), "fetched"),
    *[Case(f"retry_after_{code}_{n}", say(sized(b"", f"HTTP/1.1 {code} No\r\nRetry-After: {value}\r\n".encode(
        "latin-1"))), f"http_{code}") for code in (429, 503) for n, value in enumerate(RETRY_AFTER)],
    # connections that end
    Case("close_at_once", say(), "bad_response"),
    Case("close_in_the_status", say(b"HTTP/1.1 2"), "bad_response"),
    Case("close_in_the_type", say(b"HTTP/1.1 200 OK\r\nContent-Type: text/ht"), "bad_response"),
    Case("close_in_the_headers", say(HTML + b"X-"), "bad_response"),
    Case("reset_at_once", say(RESET), "bad_response"),
    Case("reset_in_the_headers", say(HTML + b"X-", 0.2, RESET), "bad_response"),
    Case("reset_in_the_body", say(LENGTH + b"1000\r\n\r\n<p>text", 0.2, RESET), "bad_response"),
    # TLS; robots.txt is the first that is asked for
    Case("tls_good", PROSE, "fetched", url=TLS, certificate="good"),
    *[Case(f"tls_{name}", PROSE, "tls_error", url=TLS, certificate=name)
      for name in ("self_signed", "expired", "wrong_name")],
    Case("tls_plain_http", PROSE, "tls_error", url=TLS),
    Case("tls_garbage", say(b"\x16\x03\x01\xff\xff" + b"\xff" * 70_000), "tls_error", url=TLS),
    Case("tls_closed", say(), "tls_error bad_response robots_unavailable", url=TLS),
    Case("tls_silence", say(30.0), "timeout tls_error robots_unavailable", url=TLS),
    Case("tls_trickle", endless(b"\x16\x03\x03\x40", b"\0", 1.0), "timeout tls_error robots_unavailable", url=TLS),
    # robots.txt
    Case("robots_endless", PROSE, "fetched", endless(HTML + b"\r\n", b"# comment\n" * 6000)),
    Case("robots_bomb", PROSE, "fetched robots_unavailable", packed(b"gzip", lambda: gzip_bomb(4))),
    Case("robots_10_mb", PROSE, "fetched", rules(lambda: "User-agent: *\n" + lines("Disallow: /x{}", 600_000))),
    Case("robots_garbage", PROSE, "fetched", rules(lambda: "\0\x1b:\ud7ff*:\u2028::\n%%%: $\n" * 20_000)),
    Case("robots_one_line", PROSE, "fetched", rules(lambda: "User-agent: *\nDisallow: /" + "*a" * 250_000)),
    Case("robots_stars", PROSE, "fetched", rules(lambda: "User-agent: *\nDisallow: /" + "*a" * 20 + "*b"),
         "http://{host}/" + "a" * 500),
    Case("robots_agents", PROSE, "fetched robots_unavailable",
         rules(lambda: lines("User-agent: a{}", 3000) + lines("Disallow: /x{}", 3000))),
    Case("robots_signals", PROSE, "fetched robots_unavailable",
         rules(lambda: lines("User-agent: a{}", 10_000) + lines("Content-Signal: ai-train=no", 10_000))),
    Case("robots_delay_nan", PROSE, "fetched", rules(lambda: "User-agent: *\nCrawl-delay: nan")),
    Case("robots_delay_1e300", PROSE, "fetched new", rules(lambda: "User-agent: *\nCrawl-delay: 1e300")),
    Case("robots_trickle", PROSE, "robots_unavailable", endless(HTML + b"\r\n", b"#", 1.0)),
    Case("robots_silence", PROSE, "robots_unavailable", say(30.0)),
    Case("robots_closed", PROSE, "robots_unavailable", say()),
    Case("robots_loop", PROSE, "fetched", redirect("/robots.txt")),
    Case("robots_to_canary", PROSE, "robots_unavailable blocked_address", redirect(BLOCKED[2])),
    Case("robots_503", PROSE, "robots_unavailable", say(sized(b"", b"HTTP/1.1 503 No\r\nRetry-After: 1e99\r\n"))),
    # pages
    Case("page_mp3", Lazy(lambda: sized(b"ID3\x04\0\0\0\0\x0f\x76" + os.urandom(2_000_000))), "fetched not_html",
         text=NOTHING),
    Case("page_nuls", Lazy(lambda: sized(bytes(1_000_000))), "fetched empty not_html", text=NOTHING),
    Case("page_nested", page(lambda: b"<div>" * 100_000 + SENTENCE.encode() * 5), "fetched",
         text=SENTENCE.strip()),
    Case("page_attributes", page(lambda: b"<p " + b" ".join(map(bytes, itertools.islice(itertools.product(
        b"abcdefghijklmnopqrstuvwxyz012345", repeat=4), 990_000))) + b">x</p>"), "fetched"),  # just below 5 MB
    Case("page_angles", page(lambda: b"<" * 4_000_000), "fetched"),
    Case("page_entities", page(lambda: b"&lt;script&amp;&#0;&#1114112;&#xd800;" * 100_000), "fetched"),
    Case("page_one_word", page(lambda: b"x" * 4_900_000), "fetched"),
    Case("page_links", links, "fetched"),
    Case("page_refresh", refresh, "blocked_address"),
    *charset_cases()]
