"""Languages: where each is searched, with which queries, and which words hold its sentences together.

Fifteen are known well, the largest of the web. Of the others it is known where they are spoken.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

FUNCTION_WORDS = Path(__file__).with_name("function_words.txt")
N_STOP_WORDS = 8  # as many as Gopher has for English


class Language(NamedTuple):
    """name: in English. region: ISO 3166-1 code. templates: queries with the topic as {}, neutral as to topic."""

    name: str
    region: str
    templates: tuple[str, ...]


def _language(name: str, region: str, templates: str) -> Language:
    return Language(name, region, ("{}", *templates.split(" | ")))


# The topic stays in the form in which it was given, so no template needs another case of it.
LANGUAGES = {
    "en": _language("English", "us", "introduction to {} | {} for beginners | {} explained | guide to {} | history of {} | "
                    "articles about {} | essays about {} | questions and answers about {} | stories about {}"),
    "de": _language("German", "de", "Einführung: {} | {} für Anfänger | {} einfach erklärt | {} Ratgeber | {} Geschichte | "
                    "Artikel über {} | Essay über {} | Fragen und Antworten zu {} | Erzählungen über {}"),
    "es": _language("Spanish", "es", "introducción: {} | {} para principiantes | {} explicado | guía de {} | historia de {} | "
                    "artículos sobre {} | ensayos sobre {} | preguntas y respuestas sobre {} | relatos sobre {}"),
    "fr": _language("French", "fr", "introduction : {} | {} pour débutants | comprendre {} | guide {} | {} histoire | "
                    "articles sur {} | essais sur {} | questions et réponses sur {} | récits sur {}"),
    "it": _language("Italian", "it", "introduzione: {} | {} per principianti | {} spiegazione | guida {} | {} storia | "
                    "articoli su {} | saggi su {} | domande e risposte su {} | racconti su {}"),
    "pt": _language("Portuguese", "br", "introdução: {} | {} para iniciantes | {} explicação | guia de {} | história de {} | "
                    "artigos sobre {} | ensaios sobre {} | perguntas e respostas sobre {} | contos sobre {}"),
    "nl": _language("Dutch", "nl", "inleiding: {} | {} voor beginners | {} uitgelegd | gids over {} | geschiedenis van {} | "
                    "artikelen over {} | essays over {} | vragen en antwoorden over {} | verhalen over {}"),
    "pl": _language("Polish", "pl", "{} wprowadzenie | {} dla początkujących | {} wyjaśnienie | {} poradnik | {} historia | "
                    "{} artykuły | {} eseje | {} pytania i odpowiedzi | {} opowiadania"),
    "ru": _language("Russian", "ru", "{} введение | {} для начинающих | {} простыми словами | {} руководство | {} история | "
                    "{} статьи | {} эссе | {} вопросы и ответы | {} рассказы"),
    "tr": _language("Turkish", "tr", "{} giriş | yeni başlayanlar için {} | {} nedir | {} rehberi | {} tarihi | "
                    "{} makaleleri | {} denemeleri | {} sorular ve cevaplar | {} hikayeleri"),
    "ar": _language("Arabic", "eg", "مقدمة في {} | {} للمبتدئين | شرح {} | دليل {} | تاريخ {} | "
                    "مقالات عن {} | خواطر عن {} | أسئلة وأجوبة عن {} | قصص عن {}"),
    "hi": _language("Hindi", "in", "{} परिचय | {} शुरुआती लोगों के लिए | {} क्या है | {} गाइड | {} का इतिहास | "
                    "{} पर लेख | {} पर निबंध | {} प्रश्न और उत्तर | {} की कहानियाँ"),
    "zh": _language("Chinese", "cn", "{} 入门 | {} 初学者 | {} 详解 | {} 指南 | {} 历史 | {} 文章 | {} 随笔 | {} 问答 | {} 故事"),
    "ja": _language("Japanese", "jp", "{} 入門 | {} 初心者 | {} わかりやすく 解説 | {} ガイド | {} 歴史 | {} 記事 | {} エッセイ | "
                    "{} よくある質問 | {} 物語"),
    "ko": _language("Korean", "kr", "{} 입문 | {} 초보자 | {} 쉽게 설명 | {} 가이드 | {} 역사 | {} 글 | {} 에세이 | {} 질문과 답변 | {} 이야기"),
}
# The other languages that validate tells apart, each with a region. The topic alone is their query.
_OTHERS = (
    "af:za am:et an:es as:in az:az ba:ru be:by bg:bg bn:bd br:fr bs:ba ca:es cs:cz cy:gb da:dk dz:bt el:gr eo:us et:ee eu:es "
    "fa:ir fi:fi fo:fo fy:nl ga:ie gd:gb gl:es gu:in ha:ng he:il hr:hr ht:ht hu:hu hy:am id:id ig:ng is:is jv:id ka:ge kk:kz km:kh kn:in ku:iq "
    "ky:kg la:it lb:lu lg:ug ln:cd lo:la lt:lt lv:lv mg:mg mk:mk ml:in mn:mn mr:in ms:my mt:mt my:mm ne:np nn:no no:no oc:fr om:et or:in "
    "pa:in ps:af qu:pe ro:ro rw:rw sa:in se:no si:lk sk:sk sl:si sn:zw so:so sq:al sr:rs st:za sv:se sw:ke ta:in te:in tg:tj th:th tk:tm tl:ph tt:ru ug:cn uk:ua "
    "ur:pk uz:uz vi:vn vo:us wa:be xh:za yo:ng zu:za")
LANGUAGES |= {code: Language(code, region, ("{}",)) for code, _, region in (one.partition(":") for one in _OTHERS.split())}


def code_of(name: str) -> str:
    """The code of a language that is given by its code or its English name; "" if it is unknown."""
    name = name.strip().lower()
    return next((code for code, language in LANGUAGES.items() if name in (code, language.name.lower())), "")


def full_name(code: str) -> str:
    """Such as "German (de)"; the code alone, if no name is known."""
    language = LANGUAGES.get(code)
    return f"{language.name} ({code})" if language and language.name != code else code


class FunctionWords(NamedTuple):
    """list_share: a text that has less of them is a list. endings: of words, which in Korean do what words do elsewhere."""

    list_share: float
    words: frozenset[str]
    endings: tuple[str, ...]
    stop_words: frozenset[str]
    stop_endings: tuple[str, ...]


@cache
def function_words() -> dict[str, FunctionWords]:
    """The function words of each language that has them."""
    found = {}
    for line in FUNCTION_WORDS.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            language, share, *words = line.split()
            parts = [part for some in (words, words[:N_STOP_WORDS]) for part in (
                frozenset(word for word in some if word[0] != "-"), tuple(word[1:] for word in some if word[0] == "-"))]
            found[language] = FunctionWords(float(share), *parts)
    return found


def lower(word: str) -> str:
    """In lower case; a Turkish İ is an i, without the dot that Unicode leaves above it."""
    return word.lower().replace("i\u0307", "i")
