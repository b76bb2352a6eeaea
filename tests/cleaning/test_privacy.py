"""python3 -m pytest tests/cleaning/test_privacy.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.privacy import GOAL, cases, measure
from miniature_memory.cleaning.privacy import mask


def test_the_masks_find_what_the_list_names_and_leave_the_rest() -> None:
    figures = measure(list(cases()))
    assert min(figures.values()) >= GOAL


@pytest.mark.parametrize(("text", "masked"), [
    ("write to jo.doe+x@mail.example.co.uk.", "write to [email address]."),
    ("call (555) 234-5678 or +44 20 7946 0958", "call [phone number] or [phone number]"),
    ("8.8.8.8 and 2001:4860:4860::8888", "[IP address] and [IP address]"),
    ("2606:4700:10::6816:1a2b, then 93.184.216.34, then 2001:4860:4860::8888",
     "[IP address], then [IP address], then [IP address]"),
    ("ann (at) example (dot) org, bo@example.org and cy [at] example.net",
     "[email address], [email address] and [email address]"),
    ("Mail ｊｏ＠ｅｘａｍｐｌｅ．ｏｒｇ today", "Mail [email address] today"),
    ("0800 123 4567 (toll-free)", "[phone number] (toll-free)"),
    ("10.0.0.1, 127.0.0.1", "10.0.0.1, 127.0.0.1"),
    ("pay by 4111 1111 1111 1111", "pay by [card number]"), ("4111 1111 1111 1112", "4111 1111 1111 1112"),
    ("DE89 3704 0044 0532 0130 00", "[bank account]"), ("DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
    ("ISBN 978-0-306-40615-7, 2024-01-02 12:30:45, 1,234,567, π = 3.14159265358979",
     "ISBN 978-0-306-40615-7, 2024-01-02 12:30:45, 1,234,567, π = 3.14159265358979"),
    ("version 1.2.3.4 of @username", "version 1.2.3.4 of @username"),
    ("Fax: 020 7946 0101 / 020 7946 0102", "Fax: [phone number] / [phone number]"),
    ("4.2.1.3 Setting up the server", "4.2.1.3 Setting up the server"),
    ("git clone git@git.example.org:mill/wheel.git", "git clone git@git.example.org:mill/wheel.git"),
])
def test_personal_data_is_masked(text: str, masked: str) -> None:
    found, counts = mask(text)
    assert found == masked
    assert counts.total() == masked.count("[")
    assert mask(found) == (found, {})


def test_a_number_is_read_as_in_the_country_of_the_language() -> None:
    assert mask("Büro 089/99998-321 ist besetzt", "de")[0] == "Büro [phone number] ist besetzt"
    assert mask("Café 02-61-91-33-44", "fr")[0] == "Café [phone number]"
    assert mask("Café 02-61-91-33-44", "pl")[0] == "Café 02-61-91-33-44"


@given(st.text(st.sampled_from("0123456789+-. ()@abDE:"), max_size=120))
def test_masking_is_idempotent(text: str) -> None:
    once, _ = mask(text)
    assert mask(once)[0] == once
