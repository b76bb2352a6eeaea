"""Character sets.   .venv/bin/python -m pytest tests/responses/test_charset.py"""

import pytest

from miniature_memory.core.process import deadline
from miniature_memory.responses.charset import codec_of, decode_html, decode_page, decode_text

RUSSIAN = "Утром почтальон привёз письмо, и вся деревня вышла к колодцу слушать новости. "
TEXTS = {
    "cp1251": RUSSIAN, "koi8-r": RUSSIAN, "cp866": RUSSIAN, "iso8859-5": RUSSIAN,
    "cp1253": "Το πρωί ο ταχυδρόμος έφερε ένα γράμμα και όλο το χωριό βγήκε στο πηγάδι. ",
    "cp1250": "Ráno přinesl pošťák dopis a celá vesnice vyšla ke studni poslouchat novinky. ",
    "iso8859-2": "Rano listonosz przyniósł list i cała wieś wyszła pod studnię słuchać wieści, żeby się śmiać. ",
    "cp1254": "Sabah postacı bir mektup getirdi ve bütün köy haberleri dinlemek için kuyuya çıktı, şarkı söylüyordu. ",
    "cp1255": "בבוקר הביא הדוור מכתב וכל הכפר יצא אל הבאר לשמוע חדשות. ",
    "cp1256": "في الصباح جاء ساعي البريد برسالة وخرجت القرية كلها إلى البئر لسماع الأخبار. ",
    "cp1252": "Le facteur apporta une lettre, et tout le village sortit au puits écouter — déjà ! — ce qu’il dit. ",
    "cp932": "朝、郵便屋さんが手紙を持ってきて、村のみんなが井戸に集まりました。",
    "euc_jp": "朝、郵便屋さんが手紙を持ってきました。",
    "gb18030": "早上邮递员送来了一封信，全村的人都到井边来听消息。",
    "big5hkscs": "早上郵差送來了一封信，全村的人都到井邊來聽消息。",
    "cp949": "아침에 우체부가 편지를 가져왔고 온 마을 사람들이 우물가로 나와 소식을 들었다. "}


@pytest.mark.parametrize("codec", TEXTS)
def test_an_encoding_without_label_is_known_by_its_letters(codec):
    assert decode_page(f"<p>{TEXTS[codec]}".encode(codec)) == (f"<p>{TEXTS[codec]}", codec)


@pytest.mark.parametrize("head", [
    '<?xml version="1.0" encoding="koi8-r"?><html>', "<!-- <meta charset=shift_jis> --><META CharSet = 'koi8-r' >",
    "<style>" + "a{}" * 2000 + "</style><meta charset=koi8-r>",
    "<script>'<meta charset=big5>'</script><meta charset=KOI8>",
    '<meta content="text/html; charset=koi8-r" name=x http-equiv=Content-Type>',
    '<meta name=description content="charset=big5"><meta charset="koi8-r"/>',
    "<meta charset=nonsense><meta charset=koi8_r>",
])
def test_a_label_is_found_as_browsers_find_it(head):
    text = f"{head}<p>короткий"
    assert decode_page(text.encode("koi8-r")) == (text, "koi8-r")


@pytest.mark.parametrize(("codec", "header", "meta"), [
    ("cp1251", "utf-8", ""), ("cp1251", "", "utf-8"), ("koi8-r", "iso-8859-1", ""),
    ("cp1251", "iso-8859-1", "windows-1251"),
    ("utf-8", "windows-1251", ""), ("utf-8", "gb2312", "gbk"), ("utf-8", "", "utf-16"), ("utf-16", "iso-8859-1", ""),
    ("utf-16-le", "", ""), ("utf-32", "", ""), ("utf-8-sig", "koi8-r", "big5")])
def test_a_wrong_label_is_not_believed(codec, header, meta):
    assert RUSSIAN in decode_html(f"<meta charset='{meta}'><p>{RUSSIAN}".encode(codec), header)


def test_a_right_label_is_believed_where_the_letters_say_little():
    assert "Ħal Għaxaq" in decode_html("<p>Ħal Għaxaq".encode("iso8859-3"), "iso-8859-3")
    assert "2 × 3 ± ½" in decode_html("<p>2 × 3 ± ½".encode("latin-1"), "iso-8859-1")
    assert "いろは" in decode_html("<p>いろは".encode("iso2022_jp"))


def test_a_bad_byte_costs_a_character_and_not_the_encoding():
    assert decode_text("“Ships” – and ".encode() + b"\xe9" + b" sails") == "“Ships” – and \ufffd sails"
    assert TEXTS["gb18030"] in decode_html(b"<p>\xff" + TEXTS["gb18030"].encode("gb18030"), "gbk")


def test_labels_are_those_of_browsers():
    labels = {"latin1": "cp1252", " X-User-Defined ": "cp1252", "iso-8859-9": "cp1254", "ks_c_5601-1987": "cp949",
              "l2": "iso8859-2", "unicode": "utf-16-le", "utf-7": "", "rot13": "", "": ""}
    assert {label: codec_of(label) for label in labels} == labels


@pytest.mark.parametrize("worst", [b"<a", b"<!--", b"<meta charset=", b"<meta ", b"<a x='", b"\xe9<",
                                   b"<?xml encoding ", b"<meta http-equiv=content-type content='charset ", b"\xe9"])
def test_no_page_takes_long(worst):
    with deadline(60):  # quadratic time would be minutes
        assert decode_html(worst * (300_000 // len(worst)) + b"\xe9")
