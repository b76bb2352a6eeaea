"""Topics in other languages, from a local site to samples: python3 -m pytest -m slow tests/test_other_languages.py"""

import unicodedata
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import lines, run_py
from local_server import page, serve

from miniature_memory.core.config import read_tables
from miniature_memory.core.topic_folders import folder
from miniature_memory.crawl.seeds import read_lines
from miniature_memory.storage import clean_documents
from miniature_memory.storage.catalog import Catalog

HOST = "pages.example"
N_PAGES = 12


class Site(NamedTuple):
    """A little site: each page is about one of the things, in sentences about it and others."""

    topic: str
    language: str
    script: str  # how the Unicode names of its letters begin
    menu: str
    things: str
    sentences: str
    named: tuple[str, ...] = ()  # the options that name the language; without them it is guessed

    def pages(self) -> list[str]:
        things, sentences = self.things.split(), self.sentences.strip().splitlines()
        turned = [things[5 * n % N_PAGES:] + things[:5 * n % N_PAGES] for n in range(N_PAGES)]  # no two alike
        return [self.page(turned[n], [*sentences[n:], *sentences[:n]][:7]) for n in range(N_PAGES)]

    def page(self, things: list[str], sentences: list[str]) -> str:
        said = [sentence.format(a=things[0], b=things[n + 1], c=things[n + 2]) for n, sentence in enumerate(sentences)]
        paragraphs = "".join(f"<p>{' '.join(said[n:n + 2])}</p>" for n in range(0, len(said), 2))
        menu = "".join(f'<li><a href="/{n}">{word}</a></li>' for n, word in enumerate(self.menu.split()))
        return (f'<html lang="{self.language}"><head><title>{things[0]}</title></head><body><nav><ul>{menu}</ul></nav>'
                f"<article><h1>{things[0]}</h1>{paragraphs}</article><footer>© 2026 {HOST}</footer></body></html>")


SITES = [
    Site("茶道のはじめ方", "ja", "HIRAGANA KATAKANA CJK", "ホーム お知らせ 会社概要 お問い合わせ 利用規約",
         "抹茶 煎茶 茶碗 茶筅 和菓子 茶室 掛け軸 炭火 庭園 水差し 茶杓 花入れ", """
{a}は昔から人々に親しまれてきたもので、{b}と一緒に使われることが多い。
春になると、先生は弟子たちに{a}の扱い方を教え、それから{b}と{c}について静かに話をする。
私が初めて{a}を見たのは、祖母の家で{b}の手入れを手伝っていた雨の日のことだった。
良い{a}を選ぶには、色と形をよく見て、{b}に合うかどうかを考えなければならない。
「{a}は心を映す」と言われるが、それは{b}を大切にする人の気持ちが表れるからである。
冬の朝、{b}の前に座って{a}を眺めていると、時間がゆっくりと流れていくように感じられる。
古い本によれば、{a}は遠い国から船で運ばれ、後に{b}とともに都で広まったそうだ。
もし{a}がなければ、{c}の楽しみは半分になってしまうだろうと町の人は言っている。
店の主人は{a}を布で丁寧に包み、{b}のそばに置いてから、客に値段を小さな声で伝えた。
夏の夕方には、涼しい風が{c}を揺らし、誰かが{a}を運ぶ足音だけが聞こえてくる。
若い人たちも最近では{a}に興味を持ち始め、{b}を習うために毎週集まっている。
最後に、{a}を片付ける時は急がず、{c}を元の場所に戻してから部屋を出るのがよい。
"""),
    Site("تربية النحل في البيت", "ar", "ARABIC", "الرئيسية الأخبار الخدمات الوظائف المتجر",
         "العسل الخلية الملكة الشمع الزهور البستان الدخان الإطار الربيع المنحلة الرحيق القفير", """
كان {a} معروفًا عند الناس منذ زمن بعيد، وقد ذكره الكتّاب مع {b} في كتب كثيرة.
عندما يأتي الصباح يذهب النحّال إلى {b} ثم ينظر في {a} بهدوء، ولا يقترب من {c} إلا بعد ذلك.
هل تعرف لماذا يحتاج {a} إلى {b}؟ لأن كل واحد منهما لا يعيش طويلًا من دون الآخر.
قالت لي جدتي إن {a} أهم من {c}، وإن الذي يصبر على {b} يجد الخير في نهاية العام.
في القرية التي ولدت فيها كان الأطفال يجلسون حول {b} ويسمعون من الشيخ قصة عن {a}.
من أراد أن يتعلم هذا العمل فعليه أن يبدأ من {a}، ثم ينتقل بعد سنة إلى {b} أو {c}.
لا يمكن أن نفصل بين {a} وبين {b}، فهما معًا في كل مكان زرناه هذا الصيف.
وجد العلماء أن {a} يتغير مع الحرارة، وأن {c} يبقى كما هو حتى في أيام البرد.
وضع الرجل {a} تحت الشجرة، وغطّاه بقماش أبيض، ثم عاد إلى {b} قبل أن تغيب الشمس.
إذا نزل المطر فإن {a} يحتاج إلى مكان جاف، بعيد عن {b} وعن الريح التي تأتي من الغرب.
يبيع أهل المدينة {a} في السوق القديم، ويسألون دائمًا عن {c} وعن سعره هذا الشهر.
وفي آخر اليوم نكتب في الدفتر ما رأيناه من {a}، ونترك {b} حتى نعود إليه غدًا.
"""),
    Site("मधुमक्खी पालन", "hi", "DEVANAGARI", "मुखपृष्ठ समाचार सेवाएँ संपर्क दुकान",
         "शहद छत्ता रानी मोम फूल बगीचा धुआँ लकड़ी वसंत खेत पराग गाँव", """
पुराने समय से लोग {a} के बारे में जानते हैं और इसे {b} के साथ जोड़कर देखते हैं।
जब सुबह होती है तो किसान {b} की ओर जाता है और धीरे से {a} को देखता है, फिर {c} की बारी आती है।
क्या आप जानते हैं कि {a} को {b} की ज़रूरत क्यों होती है? इसका उत्तर बहुत सरल है।
मेरी दादी कहती थीं कि {a} से बड़ा कुछ नहीं है और जो {b} की देखभाल करता है वह सुखी रहता है।
जिस घर में मैं पैदा हुआ था वहाँ बच्चे {c} के पास बैठकर {a} की कहानी सुनते थे।
जो यह काम सीखना चाहता है उसे पहले {a} को समझना होगा और उसके बाद {b} या {c} को।
हम {a} को {b} से अलग नहीं कर सकते, क्योंकि दोनों हर जगह एक साथ मिलते हैं।
वैज्ञानिकों ने पाया है कि गर्मी में {a} बदल जाता है, लेकिन {c} सर्दियों में भी वैसा ही रहता है।
उस आदमी ने {a} को पेड़ के नीचे रखा, सफ़ेद कपड़े से ढका और शाम से पहले {b} के पास लौट आया।
यदि बारिश हो जाए तो {a} को सूखी जगह चाहिए, जो {b} से और पश्चिम की हवा से दूर हो।
शहर के लोग पुराने बाज़ार में {a} बेचते हैं और हमेशा {c} का दाम भी पूछते हैं।
दिन के अंत में हम अपनी कॉपी में {a} के बारे में लिखते हैं और {b} को कल के लिए छोड़ देते हैं।
"""),
    Site("Brot backen", "de", "LATIN", "Startseite Neuigkeiten Angebote Kontakt Impressum",
         "Sauerteig Roggenmehl Hefe Backofen Kruste Krume Teigling Gärkorb Salz Wasser Schieber Backstein", """
Wer zum ersten Mal mit {a} arbeitet, nimmt sich am besten einen Vormittag, stellt {b} bereit und legt {c} daneben.
Meine Großmutter hat {a} immer neben {b} aufbewahrt, denn nur dort war es warm genug für {c}.
Über {a} gibt es viele Meinungen, aber fast alle Bäcker sind sich einig, dass {b} und {c} dazugehören.
Man erkennt gutes Handwerk daran, wie sorgfältig jemand {a} prüft, bevor er sich um {c} kümmert.
Im Winter dauert es mit {b} länger, und deshalb ruht {a} über Nacht bei {c} unter einem Tuch.
Früher wurde {a} im Dorf gemeinsam benutzt, und wer {b} besaß, brachte am Samstag auch {c} mit.
Nach einer halben Stunde sieht man, ob {a} und {b} zueinander passen oder ob noch {c} fehlt.
Ein häufiger Fehler besteht darin, {a} zu früh zu verwenden, {b} zu vergessen und {c} zu spät zu holen.
Die Kinder durften zusehen, wie der Meister {a} langsam drehte und dabei von {c} erzählte.
Ohne {a} wäre das Ergebnis kaum zu genießen, auch wenn {b} noch so sorgfältig ausgewählt wurde.
Auf dem Markt fragte ein Kunde, warum {a} in diesem Jahr teurer sei als {b}, und bekam keine Antwort.
Zum Schluss wird {a} gereinigt und getrocknet, damit es beim nächsten Mal wieder mit {c} verwendet werden kann.
""", ("--language", "de")),
]


@pytest.mark.slow
@pytest.mark.parametrize("site", SITES, ids=lambda site: site.language)
def test_a_topic_is_collected_learned_and_written_in_its_language(tmp_path: Path, site: Site) -> None:
    root = folder(tmp_path, site.topic)
    (root / "config").mkdir(parents=True)
    (root / "config/seeds.txt").write_text("".join(f"page http://{HOST}/{n}\n" for n in range(N_PAGES)))
    with serve({f"/{n}": page(html) for n, html in enumerate(site.pages())}) as server:
        settings = ['search.providers=["seeds"]', "search.wikis=[]", "train.max_minutes=0.1", "prepare.vocab_size=512",
                    f'web.connect_to=["{HOST}=127.0.0.1:{server.port}"]']
        options = [word for setting in settings for word in ("--set", setting)]
        first = run_py("--root", tmp_path, "--topic", site.topic, *site.named, *options)
        second = run_py("--root", tmp_path, "--topic", site.topic, "--only", "search")  # without a word on the language
    assert first.returncode == 0, first.stderr
    why = "as --language says" if site.named else "guessed"
    assert f"({site.language}), {why}" in first.stderr and "language" not in second.stderr
    tables = read_tables(root)
    assert tables["search"]["language"] == site.language and tables["validate"]["languages"] == [site.language]
    assert len(read_lines(root / "config/queries.txt")) == 10
    with Catalog(root, read_only=True) as catalog:
        kept = clean_documents.count(catalog)
    assert kept == N_PAGES, lines(root / "data/rejected.jsonl")
    samples = run_py("--root", tmp_path, "--topic", site.topic, "-n", "4", script="sample.py").stdout
    letters = [char for char in samples if char.isalpha() and (site.script == "LATIN" or not char.isascii())]
    in_script = [char for char in letters if unicodedata.name(char).startswith(tuple(site.script.split()))]
    assert len(in_script) > 100 and len(in_script) > 0.9 * len(letters), samples
