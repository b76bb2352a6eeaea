"""Mail: what a person wrote in .eml and .mbox files (RFC 5322, RFC 4155): no quotation, signature or attachment."""

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage
from typing import BinaryIO

from miniature_memory.extraction.page import Extracted, extract_page
from miniature_memory.extraction.reading import MAX_BYTES, MAX_FILE_BYTES, Input, Unreadable

MAX_FIELD_BYTES, MAX_PARTS = 2000, 5000  # guesses: Python takes quadratic time for long headers and many parts
HEADER_FIELD = re.compile(rb"[^\n]+(?:\n[ \t][^\n]*)*\n?")


def read_mail(data: bytes) -> Extracted:
    """The text of one message, else its HTML. The author is a name without its address, which is nobody else's."""
    if data.count(b"\n--") > MAX_PARTS:
        raise Unreadable("damaged")
    blank = re.search(rb"\n\r?\n", data)
    end = blank.start() + 1 if blank else len(data)
    data = b"".join(field for field in HEADER_FIELD.findall(data, 0, end) if len(field) <= MAX_FIELD_BYTES) + data[end:]
    message = email.message_from_bytes(data, EmailMessage, policy=email.policy.default)
    body = message.get_body(("plain", "html"))
    text = body.get_content() if body else ""
    if body and body.get_content_subtype() == "html":
        return extract_page(text)
    text = text.replace("\r\n", "\n").partition("\n-- \n")[0]
    lines = [line for line in text.split("\n") if not line.startswith(">")]
    sender = message["From"]
    author = sender.addresses[0].display_name if sender and sender.addresses else ""
    return Extracted("\n".join(lines).strip(), str(message["Subject"] or ""), author, extractor="mail")


def split_mbox(stream: BinaryIO, origin: Input) -> Iterator[Input]:
    """The messages of a mailbox, each with its number; lines that begin with "From " divide them."""
    message: list[bytes] = []
    number, size = 1, 0
    while line := stream.readline(MAX_BYTES):
        if line.startswith(b"From ") and message and not message[-1].strip():
            yield _message(message, size, number, origin)
            message, size, number = [], 0, number + 1
        size += len(line)
        if size <= MAX_FILE_BYTES:
            message.append(re.sub(rb"^>(>*From )", rb"\1", line))
    if message:
        yield _message(message, size, number, origin)


def _message(lines: list[bytes], size: int, number: int, origin: Input) -> Input:
    if size > MAX_FILE_BYTES:
        return origin._replace(reason="too_big")
    own = lines[1:] if lines[0].startswith(b"From ") else lines
    return origin._replace(url=origin.at(str(number)), title="", kind=".eml", data=b"".join(own))
