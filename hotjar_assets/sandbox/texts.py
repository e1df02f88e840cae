"""What respondents write: phrases by language and mood, and the odd texts that break readers."""

# ruff: noqa: RUF001 - the phrases are in many scripts, and their punctuation belongs to them.

from typing import Literal

Mood = Literal["positive", "neutral", "negative"]
Phrase = tuple[str, str]
"""The theme a researcher would tag the phrase with, and the phrase."""

PHRASES: dict[str, dict[Mood, tuple[Phrase, ...]]] = {
    "en": {
        "positive": (
            ("praise", "Quick and easy, I was done in two minutes."),
            ("delivery", "Delivery arrived a day early, great service!"),
            ("design", "Love the new layout, everything is where I expect it 😀"),
            ("support", "Support solved my problem on the first call."),
            ("payment", "Paying with Apple Pay just worked."),
        ),
        "neutral": (
            ("feature request", "Fine overall. A dark mode would be nice."),
            ("pricing", "It does the job, though I compare prices every time."),
            ("search", "Not sure yet, I was only looking around."),
        ),
        "negative": (
            ("bug", "The coupon field rejected my code twice and cleared the cart."),
            ("speed", "Pages take ages to load on my phone."),
            ("pricing", "Too expensive since the last change, I'm thinking of leaving."),
            ("search", "I couldn't find the size guide anywhere."),
            ("payment", "My card was charged, but I never got a confirmation 😡"),
        ),
    },
    "de": {
        "positive": (
            ("praise", "Schnell, übersichtlich, gerne wieder."),
            ("delivery", "Die Lieferung kam früher als angekündigt."),
            ("support", "Sehr freundlicher Kundendienst, danke!"),
        ),
        "neutral": (
            ("pricing", "In Ordnung, aber die Versandkosten sind hoch."),
            ("feature request", "Bitte auch Kauf auf Rechnung anbieten."),
        ),
        "negative": (
            ("bug", "Beim Bezahlen kam immer wieder eine Fehlermeldung."),
            ("delivery", "Das Paket wurde bei Müllers im falschen Straßenblock abgegeben."),
            ("search", "Die Größentabelle ist kaum zu finden."),
        ),
    },
    "fr": {
        "positive": (
            ("praise", "Très simple, j'ai trouvé tout de suite ce que je cherchais."),
            ("delivery", "Livraison rapide et colis bien protégé."),
            ("design", "Le nouveau site est bien plus agréable à l'œil."),
        ),
        "neutral": (
            ("pricing", "Correct, mais les frais de port restent élevés."),
            ("feature request", "J'aimerais pouvoir choisir un créneau de livraison."),
        ),
        "negative": (
            ("bug", "Le paiement échoue sans aucune explication."),
            ("delivery", "Colis reçu ouvert, il manquait un article."),
            ("speed", "C'est lent, surtout le soir."),
        ),
    },
    "es": {
        "positive": (
            ("praise", "¡Muy fácil de usar, lo recomiendo!"),
            ("support", "La atención al cliente fue excelente."),
        ),
        "neutral": (("feature request", "Estaría bien poder guardar el carrito para mañana."),),
        "negative": (
            ("payment", "No pude pagar con mi tarjeta, ¿por qué?"),
            ("search", "El buscador no encuentra nada si escribes sin acentos."),
        ),
    },
    "pt": {
        "positive": (("praise", "Ótima experiência, comprei em poucos minutos."),),
        "neutral": (("pricing", "Razoável, mas o frete é caro para a minha região."),),
        "negative": (("bug", "A página travou na confirmação do endereço."),),
    },
    "it": {
        "positive": (("praise", "Tutto perfetto, più veloce di così non si può."),),
        "neutral": (("feature request", "Si potrebbe aggiungere il pagamento a rate."),),
        "negative": (("delivery", "Il corriere è passato senza suonare."),),
    },
    "nl": {
        "positive": (("praise", "Overzichtelijk en vlot, top!"),),
        "neutral": (("pricing", "Prima, al is het wel aan de dure kant."),),
        "negative": (("bug", "iDEAL gaf drie keer een foutmelding."),),
    },
    "pl": {
        "positive": (("praise", "Bardzo wygodne zakupy, wszystko działa świetnie."),),
        "neutral": (("search", "Może być, choć trudno znaleźć filtry."),),
        "negative": (("speed", "Strona ładuje się bardzo wolno, zwłaszcza zdjęcia."),),
    },
    "sv": {
        "positive": (("praise", "Smidigt och snyggt, precis som jag önskade."),),
        "neutral": (("feature request", "Bra, men jag saknar Swish."),),
        "negative": (("bug", "Kassan hängde sig när jag ändrade antalet."),),
    },
    "ja": {
        "positive": (
            ("praise", "とても使いやすくて、すぐに注文できました。"),
            ("delivery", "翌日に届いて驚きました。ありがとうございます！"),
        ),
        "neutral": (("feature request", "普通です。検索条件を保存できると嬉しいです。"),),
        "negative": (
            ("bug", "住所を入力するとエラーになります。"),
            ("speed", "表示が遅く、途中であきらめました。"),
        ),
    },
    "zh": {
        "positive": (("praise", "界面清楚，付款很方便。"),),
        "neutral": (("pricing", "还可以，希望运费能再便宜一点。"),),
        "negative": (("bug", "验证码一直收不到，无法登录。"),),
    },
    "ko": {
        "positive": (("praise", "사용하기 쉽고 배송도 빨라요."),),
        "neutral": (("feature request", "괜찮지만 다크 모드가 있으면 좋겠어요."),),
        "negative": (("speed", "앱이 너무 느려요."),),
    },
    "ar": {
        "positive": (("praise", "تجربة رائعة وسهلة، شكراً لكم!"),),
        "neutral": (("feature request", "جيد، لكن أتمنى وجود خيار الدفع عند الاستلام."),),
        "negative": (("bug", "لا يعمل زر الدفع على هاتفي."),),
    },
    "hi": {
        "positive": (("praise", "बहुत आसान और तेज़, धन्यवाद!"),),
        "neutral": (("pricing", "ठीक है, पर डिलीवरी थोड़ी महँगी है।"),),
        "negative": (("payment", "भुगतान बार-बार विफल हो रहा है।"),),
    },
}

COUNTRIES: dict[str, tuple[str, ...]] = {
    "en": ("US", "GB", "CA", "AU", "IE", "IN"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR", "BE", "CA", "CH"),
    "es": ("ES", "MX", "AR", "CO"),
    "pt": ("BR", "PT"),
    "it": ("IT",),
    "nl": ("NL", "BE"),
    "pl": ("PL",),
    "sv": ("SE",),
    "ja": ("JP",),
    "zh": ("CN", "TW"),
    "ko": ("KR",),
    "ar": ("AE", "EG", "SA"),
    "hi": ("IN",),
}

ODD_TEXTS: tuple[str, ...] = (
    "ok",
    "-",
    "?",
    "NULL",
    "007",
    "=SUM(A1:A9)",
    'He said "no", then; left,\nwithout a word.',
    "First line\r\nsecond line\tand a tab",
    "<b>bold</b> & <script>alert(1)</script>",
    "C:\\orders\\2026",
    "👩‍👩‍👧‍👦 family plan 🇺🇦 👍🏽",
    "e\u0301 and \u00e9 look the same",
    "zero\u200bwidth and \u2028 a line separator",
    "   spaces around   ",
    "Robert'); DROP TABLE responses;--",
)

LONG_TEXT = (
    "I have been a customer for years, so let me tell the whole story. I opened the shop on my "
    "phone, put three things into the cart, and went to the checkout — where the page asked me to "
    "log in. My password was not accepted, the reset e-mail took twenty minutes, and when I came "
    "back the cart was empty. I filled it again, chose the pick-up point near my office, and only "
    "on the very last page learned that one item could not be sent there.\n\n"
)
