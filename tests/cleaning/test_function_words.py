"""Function words and stop words of languages.   python3 -m pytest tests/cleaning/test_function_words.py"""

import pytest

from miniature_memory.cleaning.config import thresholds_of
from miniature_memory.cleaning.filters import checks_of, first_broken
from miniature_memory.cleaning.measures import measure

CHECKS = [check for check in checks_of(thresholds_of("prose")) if check.rule.needs_function_words]
# A few sentences in short lines, so that their share of function words counts, and the words of a menu.
TEXTS = {
    "en": ("The boat was old, but it\nhad never let him down.\nOn that day he did not\nknow where to go with it.",
           "Home\nProducts\nLatest News\nShopping Basket\nJobs\nPress\nDownloads\nPartner Programme\nGift Cards"),
    "de": ("Das Boot war alt, und es\nhatte ihn nie im Stich gelassen.\nAn diesem Tag wusste er nicht,\nwohin er "
           "mit ihm auf die See sollte.",
           "Startseite\nProdukte\nAktuelle Nachrichten\nWarenkorb\nKarriere\nPresse\nDatenschutz\nGutscheine\nHilfe"),
    "es": ("El barco era viejo, pero\nno lo había dejado nunca.\nAquel día no sabía a dónde\nir con él ni por qué.",
           "Inicio\nProductos\nÚltimas noticias\nCarrito\nEmpleo\nPrensa\nDescargas\nTarjetas regalo\nAyuda"),
    "fr": ("Le bateau était vieux, mais\nil ne l'avait pas trahi.\nCe jour-là, il ne savait pas\noù aller avec lui ni "
           "pour quoi.",
           "Accueil\nProduits\nActualités\nPanier\nEmplois\nPresse\nTéléchargements\nCartes cadeaux\nAide"),
    "it": ("La barca era vecchia, ma\nnon lo aveva mai tradito.\nQuel giorno non sapeva\ndove andare con lei e per che "
           "cosa.",
           "Prodotti\nUltime notizie\nCarrello\nLavoro\nStampa\nScaricamenti\nBuoni regalo\nAssistenza\nMappa"),
    "pt": ("O barco era velho, mas\nnunca o tinha deixado.\nNaquele dia ele não sabia\npara onde ir com ele e por que.",
           "Início\nProdutos\nÚltimas notícias\nCarrinho\nEmpregos\nImprensa\nDescargas\nVales presente\nAjuda"),
    "nl": ("De boot was oud, maar hij\nhad hem nooit in de steek\ngelaten. Op die dag wist hij\nniet waar hij met hem "
           "naar toe zou gaan.",
           "Startpagina\nProducten\nLaatste nieuws\nWinkelwagen\nVacatures\nPers\nDownloads\nCadeaubonnen\nHulp"),
    "pl": ("Łódź była stara, ale nigdy\ngo nie zawiodła. Tego dnia nie\nwiedział, co z nią zrobić i po co\nby miał się "
           "z nią męczyć.",
           "Strona główna\nProdukty\nAktualności\nKoszyk\nPraca\nPrasa\nPliki\nKarty podarunkowe\nPomoc"),
    "ru": ("Лодка была стара, но она\nего не подводила. В тот день он\nне знал, что с ней делать и\nкуда на ней идти.",
           "Главная\nТовары\nПоследние новости\nКорзина\nВакансии\nПресса\nФайлы\nПодарочные карты\nПомощь"),
    "tr": ("Tekne eskiydi ama onu hiç\nyarı yolda bırakmamıştı. O gün bu\ntekne ile ne yapacağını ve nereye\n"
           "gideceğini bilmiyordu, çok da yorgundu.",
           "Ana sayfa\nÜrünler\nHaberler\nSepet\nKariyer\nBasın\nİndirmeler\nHediye kartları\nYardım"),
    "ar": ("كان القارب قديمًا، لكن هذا\nالرجل لم يفكر في بيعه. وفي ذلك\nاليوم لم يعرف إلى أين يذهب به\nولا ما الذي "
           "يفعله مع من كان معه.",
           "الرئيسية\nالمنتجات\nالأخبار\nسلة التسوق\nالوظائف\nالصحافة\nالتنزيلات\nبطاقات الهدايا\nالمساعدة"),
    "hi": ("नाव पुरानी थी, पर उस ने\nउसे कभी नहीं छोड़ा। उस दिन वह\nनहीं जानता था कि इस के साथ\nकहाँ जाए और क्या करे।",
           "मुखपृष्ठ\nउत्पाद\nताज़ा समाचार\nटोकरी\nनौकरियाँ\nप्रेस\nडाउनलोड\nउपहार कार्ड\nसहायता"),
    "zh": ("这只船已经很旧了，但是它\n从来没有让他失望。那一天他\n不知道要和它一起到什么地方去，\n也不知道是为了什么。",
           "首页\n产品\n最新消息\n购物车\n招聘\n新闻稿\n下载\n礼品卡\n帮助"),
    "ja": ("船は古かったが、彼を裏切った\nことはなかった。その日、彼は\n"
           "これでどこへ行けばよいのか、\n何のためなのかも分からなかった。",
           "ホーム\n製品情報\n最新ニュース\n買い物カゴ\n採用情報\n報道資料\nダウンロード\nギフト券\n案内図"),
    "ko": ("배는 낡았지만 그를 한 번도\n실망시키지 않았다. 그날 그는\n이 배를 타고 어디로 가야 하는지를\n"
           "알지 못했고 이유도 몰랐다.",
           "홈\n상품 목록\n최신 뉴스\n장바구니\n채용 정보\n보도 자료\n다운로드\n선물 카드\n도움말"),
}


@pytest.mark.parametrize("language", TEXTS)
def test_sentences_are_kept_and_menus_rejected(language: str) -> None:
    sentences, menu = TEXTS[language]
    assert first_broken(CHECKS, sentences, language) is None, measure(sentences, language).function_words_frac
    rejection = first_broken(CHECKS, menu, language)
    assert rejection and rejection.reason in ("too_few_stop_words", "too_few_function_words")


def test_a_language_without_words_is_not_judged_by_them() -> None:
    assert first_broken(CHECKS, "Hem\nProdukter\nNyheter\nKundvagn", "sv") is None


def test_the_words_of_one_language_are_not_those_of_another() -> None:
    text = "die der und das ist nicht mit von auf ein"
    assert measure(text, "de").stop_words >= 2 and measure(text, "es").stop_words == measure(text, "en").stop_words == 0


def test_lines_of_chinese_hold_words_and_sentences() -> None:
    line = "他在山上住了很多年，每天都到河边去打水，然后再慢慢走回来。"
    assert measure("\n".join([line] * 12), "zh").list_function_words_frac == 1  # prose enough
    assert measure("网页 Linux 2024 版", "zh").n_words == 5
