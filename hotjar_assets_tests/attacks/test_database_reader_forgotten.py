"""Somebody reads the database after a person was forgotten.

`PersonSearch` must recognize an address whatever characters it has, wherever it is and however it
is encoded, and must not take the address of another person for it.
"""

import html
import json
import string
import unicodedata
from typing import Any
from urllib.parse import quote, quote_plus

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hotjar_assets.config import PiiMode
from hotjar_assets.person import Person, PersonSearch
from hotjar_assets.privacy import Privacy
from hotjar_assets.sandbox import SandboxAccount
from hotjar_assets.warehouse.personal import find_rows
from hotjar_assets_tests.store.conftest import Store

KEEP = Privacy()
HASH = Privacy(PiiMode.HASH, b"a key of sixteen bytes")
DROP = Privacy(PiiMode.DROP)
ATEXT = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~"
ADDRESSES = [
    *(f"ann{each}bell@x.example" for each in "!#$%&'*+-/=?^_`{|}~."),
    *(f"{each}ann@x.example" for each in "!#$%&'*/=?^`{|}~"),
    *(f"ann{each}@x.example" for each in "!#$%&'*+-/=?^_`{|}~"),
    '"ann bell"@x.example',
    '"ann\\"bell"@x.example',
    '"ann\\\\bell"@x.example',
    '"ann@bell"@x.example',
    '"<ann>"@x.example',
    "Ann.Bell@X.Example",
    "josé@x.example",
    "ÅNN@x.example",
    "νίκος@x.example",
    "太郎@例え.example",
    "ann@münchen.example",
    "ann@xn--mnchen-3ya.example",
    f"{'a' * 64}@{'x' * 60}.{'y' * 60}.example",
    "ann@localhost",
    "a%41b@x.example",
    "a&amp@x.example",
    "a\\u0041@x.example",
]


def nested(text: str) -> str:
    return json.dumps({"mail": text})


FORMS: dict[str, Any] = {
    "as it is": str,
    "upper case": str.upper,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "in a sentence": lambda text: f"Please write to {text}.",
    "in brackets": lambda text: f"<{text}>",
    "in quotes": lambda text: f"mail: '{text}'",
    "on a line": lambda text: f"Bye\n{text}\nBye",
    "in a Japanese sentence": lambda text: f"連絡先は {text} です",
    "percent": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: quote(text, safe="").lower(),
    "form": quote_plus,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "query": lambda text: f"?a=1&mail={quote(text)}&b=2",
    "path": lambda text: f"https://s.example/u/{quote(text, safe='')}/edit",
    "form in a sentence": lambda text: f"https://s.example/?q={quote_plus(f'to {text} and back')}",
    "URL in a URL": lambda text: "https://s.example/?to=" + quote(f"/?mail={quote(text)}", safe=""),
    "JSON": nested,
    "JSON escaped": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "JSON in a URL": lambda text: f"https://s.example/?state={quote(nested(text))}",
    "HTML": html.escape,
    "HTML numbers": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "HTML hexadecimal": lambda text: "".join(f"&#x{ord(each):X};" for each in text),
}
OTHERS: dict[str, Any] = {
    "longer name": lambda text: f"x{text}",
    "name with a dot": lambda text: f"x.{text}",
    "name with a dash": lambda text: f"x-{text}",
    "name with a plus": lambda text: f"x+{text}",
    "name with an underscore": lambda text: f"x_{text}",
    "name with an apostrophe": lambda text: f"x'{text}",
    "accented name": lambda text: f"é{text}",
    "longer domain": lambda text: f"{text}.au",
    "domain with more letters": lambda text: f"{text}s",
    "domain with a dash": lambda text: f"{text}-x",
    "tagged": lambda text: text.replace("@", "+tag@") if text.count("@") == 1 else f"x{text}",
    "other domain": lambda text: f"{text.rpartition('@')[0]}@y.example",
}


def search(address: str, privacy: Privacy = KEEP) -> PersonSearch:
    return PersonSearch(Person(email=address), privacy)


def passes(connection: duckdb.DuckDBPyConnection, wanted: PersonSearch, text: str) -> bool:
    """Tell whether DuckDB would hand a text over to be looked at."""
    sql = (
        "SELECT regexp_matches($text, $pattern), regexp_matches(CAST([$text] AS VARCHAR), $pattern)"
    )
    given = {"text": text, "pattern": wanted.pattern}
    return connection.execute(sql, given).fetchall() == [(True, True)]


@pytest.fixture(scope="module")
def duck():
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize(
    "text",
    [
        "write to asmith\uff20x.com please",
        "asmith\ufe6bx.com",
        "asmith%EF%BC%A0x.com",
        "https://a/?e=asmith%EF%BC%A0x.com",
        "asmith%26commat%3Bx%26period%3Bcom",
        "asmith%26%2364x.com",
        "".join(f"%26%23{ord(each)}%3B" for each in "asmith@x.com"),
        "".join(f"%5Cx{ord(each):x}" for each in "asmith@x.com"),
        "".join(quote(chr(ord(each) + 0xFEE0)) for each in "asmith") + "@x.com",
        "a\u200esmith\u2068@x.com\u2069",
        "asmith@x\u3002com",
    ],
    ids=ascii,
)
def test_an_address_in_an_odd_form_is_handed_over_and_found(duck, text):
    wanted = search("asmith@x.com")
    assert passes(duck, wanted, text)
    assert wanted.is_in(text)


@pytest.mark.parametrize("apostrophe", ["\u2018", "\u2019", "\u02bc", "\u00b4"])
def test_an_apostrophe_of_a_keyboard_is_an_apostrophe(apostrophe):
    assert search("o'neil@x.com").is_in(f"mail o{apostrophe}neil@x.com")


ENCODERS = (
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    lambda text: json.dumps(text)[1:-1],
    lambda text: "".join(f"&#{ord(each)};" for each in text),
    lambda text: "".join(f"\\x{ord(each):02x}" if each.isascii() else each for each in text),
    lambda text: text.replace("@", "\uff20"),
)


@given(layers=st.lists(st.sampled_from(ENCODERS), max_size=3), address=st.sampled_from(ADDRESSES))
def test_what_is_recognized_is_handed_over(duck, layers, address):
    text = address
    for encode in layers:
        text = encode(text)
    wanted = search(address)
    if wanted.is_in(text):
        assert passes(duck, wanted, text)


@pytest.mark.parametrize("form", FORMS)
def test_every_address_is_found_in_every_form(duck, form):
    missed = [
        address
        for address in ADDRESSES
        for text in [FORMS[form](address)]
        if not (search(address).is_in(text) and passes(duck, search(address), text))
    ]
    # In a JSON escape, a character beyond the first plane is two.
    assert missed == []


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("form", ["as it is", "in a sentence", "percent", "JSON"])
def test_another_persons_address_is_not_taken_for_it(other, form):
    # A name that begins with a quote may be quoted, and a tag may be the name.
    own = [each for each in ADDRESSES if each[0].isalnum() and each[0].isascii()]
    taken = [each for each in own if search(each).is_in(FORMS[form](OTHERS[other](each)))]
    assert taken == []


@st.composite
def addresses(draw: st.DrawFn) -> str:
    atom = st.text(st.sampled_from(ATEXT + "éßЖ太"), min_size=1, max_size=12)
    quoted = st.text(
        st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("é太"), max_size=12
    ).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    local = draw(st.lists(atom, min_size=1, max_size=3).map(".".join) | quoted)
    label = st.text(st.sampled_from(string.ascii_letters + string.digits + "ü"), min_size=1)
    domain = draw(st.lists(label, min_size=1, max_size=3).map(".".join))
    return f"{local}@{domain}.example"


@settings(max_examples=100)
@given(address=addresses(), form=st.sampled_from(list(FORMS)))
def test_generated_addresses_are_found(duck, address, form):
    # What encodes differently than it decodes is nobody's address: &lt; in HTML, say.
    text = FORMS[form](address)
    assert search(address).is_in(text)
    assert passes(duck, search(address), text)


@settings(max_examples=100)
@given(address=addresses(), other=addresses(), form=st.sampled_from(list(FORMS)))
def test_generated_addresses_of_others_are_not(address, other, form):
    # With and without quotes, a name is the same.
    one, two = (
        unicodedata.normalize("NFKC", each).casefold().replace('"', "") for each in (address, other)
    )
    assume(one not in two)
    assert not search(address).is_in(FORMS[form](other))


# --- Through a sync ----------------------------------------------------------------------------


PLACES = (
    "answer",
    "comment",
    "tag",
    "attribute",
    "name of an attribute",
    "nested attribute",
    "path",
    "recording",
    "unknown field",
    "name of an unknown field",
    "id",
)
"""What `places` gives, in its order."""


def places(address: str, form: Any, question: str) -> list[dict[str, Any]]:
    """Return responses that hold an address, each in another place."""
    text, quiet = form(address), [{"question_id": question, "answer": "9"}]
    return [
        {"answers": [{"question_id": question, "answer": text}]},
        {"answers": [{"question_id": question, "answer": "9", "comment": text}]},
        {"answers": [{"question_id": question, "answer": "9", "tags": [{"name": text}]}]},
        {"answers": quiet, "user_attributes": [{"name": "mail", "value": text}]},
        {"answers": quiet, "user_attributes": [{"name": text, "value": 1}]},
        {"answers": quiet, "user_attributes": [{"name": "m", "value": {"a": [{"b": text}]}}]},
        {"answers": quiet, "response_origin_url": f"https://s.example/{text}"},
        {"answers": quiet, "recording_url": f"https://r.example/?u={text}"},
        {"answers": quiet, "unknown": {"a": [1, {"b": {"c": text}}]}},
        {"answers": quiet, "unknown": {text: None}},
        {"answers": quiet, "hotjar_user_id": text},
    ]


@pytest.mark.parametrize("form", ["as it is", "in quotes", "percent", "JSON"])
def test_every_place_of_a_response_is_searched(account: SandboxAccount, store: Store, form):
    survey_id = account.add_survey()
    question = account.survey(survey_id)["questions"][0]["id"]
    addresses = ADDRESSES[::5]
    own: dict[str, set[str]] = {}
    for number, address in enumerate(addresses):
        for place in places(address, FORMS[form], question):
            given = {"hotjar_user_id": f"user-{number}-{len(own)}", **place}
            own.setdefault(address, set()).update(account.add_responses(survey_id, **given))
    others = [OTHERS[other]("ann!bell@x.example") for other in OTHERS]
    for other in others:
        for place in places(other, FORMS[form], question):
            account.add_responses(survey_id, **{"hotjar_user_id": "", **place})
    account.add_responses(survey_id, 5, hotjar_user_id="")
    store.sync(survey_id)
    with store.warehouse._database.connected() as connection:
        found = {
            address: {row[1] for row in find_rows(connection, Person(email=address), KEEP)}
            for address in addresses
        }
    assert found == own


IN_WORDS = {"answer", "comment", "tag", "name of an attribute", "path"}
"""Where every mode keeps what is not an address alone."""


@pytest.mark.parametrize(
    ("privacy", "form", "found_in"),
    [
        (KEEP, "as it is", {*PLACES}),
        (KEEP, "in a sentence", {*PLACES}),
        # One hash stands for all of a value, which may be the address and nothing else.
        (HASH, "as it is", {*IN_WORDS, "attribute", "id"}),
        (HASH, "in a sentence", IN_WORDS),
        (DROP, "as it is", {"tag", "name of an attribute"}),
        (DROP, "in a sentence", IN_WORDS),
    ],
    ids=lambda each: each.mode.value if isinstance(each, Privacy) else None,
)
def test_every_place_that_a_mode_keeps_is_searched(account, store, privacy, form, found_in):
    survey_id = account.add_survey()
    question = account.survey(survey_id)["questions"][0]["id"]
    address = "O'Ann+1@x.example"
    own = {}
    for name, place in zip(PLACES, places(address, FORMS[form], question), strict=True):
        (made,) = account.add_responses(survey_id, **{"hotjar_user_id": name, **place})
        own[made] = name
    for other in OTHERS.values():
        for place in places(other(address), FORMS[form], question):
            account.add_responses(survey_id, **{"hotjar_user_id": "", **place})
    store.warehouse.adopt(privacy, rewrite=False)
    store.sync(survey_id, privacy=privacy)
    found = store.warehouse.find_person(Person(email=address), privacy)
    assert sorted(own.get(row[1], "another person") for row in found) == sorted(found_in)


@pytest.mark.parametrize("privacy", [KEEP, HASH, DROP], ids=lambda each: each.mode.value)
def test_people_without_an_id_are_never_all_of_them(account, store, privacy):
    survey_id = account.add_survey()
    question = account.survey(survey_id)["questions"][0]["id"]
    answers = [{"question_id": question, "answer": "I am ann@x.example, really"}]
    own = [
        made
        for nobody in ("", None, "00000000-0000-0000-0000-000000000000")
        for made in account.add_responses(survey_id, hotjar_user_id=nobody, answers=answers)
    ]
    for nobody in ("", None, "00000000-0000-0000-0000-000000000000"):
        plan = [{"name": "plan", "value": nobody}]
        account.add_responses(survey_id, 3, hotjar_user_id=nobody, user_attributes=plan)
    store.warehouse.adopt(privacy, rewrite=False)
    store.sync(survey_id, privacy=privacy)
    found = store.warehouse.erase_person(Person(email="ann@x.example"), privacy)
    assert sorted(row[1] for row in found) == sorted(own)
    by_hash = Person(user_id=privacy.hash(""))
    assert store.warehouse.erase_person(by_hash, privacy) == []


@pytest.mark.parametrize("given", ["", " ", "00000000-0000-0000-0000-000000000000"])
def test_an_id_that_many_people_share_is_refused(given):
    with pytest.raises(ValueError, match="shared by all"):
        Person(user_id=given)


@pytest.mark.parametrize(
    "given",
    [
        *(
            "",
            "ann",
            "not-an-email",
            "@x.example",
            "ann@",
            "ann@x y",
            "ann@x..example",
            "ann@.example",
        ),
        *("ann@x.example.", "ann@@x.example", "ann bell@x.example", "mailto:ann@x.example"),
        *("Ann <ann@x.example>", "ann@x.example, bob@x.example", "ann@x.example;bob@x.example"),
    ],
)
def test_what_is_no_address_is_refused(given):
    with pytest.raises(ValueError, match="looks like"):
        Person(email=given)


@pytest.mark.parametrize(
    ("privacy", "found_in"),
    [(KEEP, {*PLACES}), (HASH, {*IN_WORDS, "attribute", "id"}), (DROP, IN_WORDS)],
    ids=["keep", "hash", "drop"],
)
def test_an_id_is_found_where_else_it_is_and_not_in_other_ids(account, store, privacy, found_in):
    survey_id = account.add_survey()
    question = account.survey(survey_id)["questions"][0]["id"]
    user = "5e8d1f2a-user"
    own = {}
    for name, place in zip(PLACES, places(user, str, question), strict=True):
        (made,) = account.add_responses(survey_id, **{"hotjar_user_id": "someone", **place})
        own[made] = name
    for other in (f"x{user}", f"{user}-2", f"{user}_2", f"{user}@x.example", "5e8d1f2a"):
        for place in places(other, str, question):
            account.add_responses(survey_id, **{"hotjar_user_id": "else", **place})
    store.warehouse.adopt(privacy, rewrite=False)
    store.sync(survey_id, privacy=privacy)
    found = store.warehouse.find_person(Person(user_id=user), privacy)
    assert sorted(own.get(row[1], "another person") for row in found) == sorted(found_in)


@pytest.mark.parametrize("privacy", [KEEP, HASH, DROP], ids=lambda each: each.mode.value)
@pytest.mark.parametrize("user", ["7", "pro", "1234567"])
def test_an_id_that_may_be_an_answer_is_looked_for_among_ids_alone(account, store, user, privacy):
    survey_id = account.add_survey()
    question = account.survey(survey_id)["questions"][0]["id"]
    (own,) = account.add_responses(survey_id, hotjar_user_id=user)
    for place in places(user, str, question)[:-1]:
        account.add_responses(survey_id, **{"hotjar_user_id": "else", **place})
    store.warehouse.adopt(privacy, rewrite=False)
    store.sync(survey_id, privacy=privacy)
    found = [row[1] for row in store.warehouse.find_person(Person(user_id=user), privacy)]
    # Without ids, none can be looked for among them.
    assert found == ([] if privacy is DROP else [own])


@pytest.mark.parametrize(
    "text",
    ["{}", " {} ", "<{}>", "{}.", "mailto:{}", "Ann {}", "write to {} please"],
)
@pytest.mark.parametrize("field", ["answer", "comment"])
def test_in_hash_mode_answers_are_found_by_hash_and_by_text(account, store, text, field):
    survey_id = account.add_survey()
    question = account.survey(survey_id)["questions"][0]["id"]
    answer = {"question_id": question, "answer": "9", field: text.format("Ann'O@x.example")}
    attributes = [{"name": "m", "value": "ann'o@X.example"}]
    own = account.add_responses(survey_id, hotjar_user_id="one", answers=[answer])
    own += account.add_responses(survey_id, hotjar_user_id="two", user_attributes=attributes)
    answer[field] = text.format("xann'o@x.example")
    account.add_responses(survey_id, hotjar_user_id="three", answers=[answer])
    store.warehouse.adopt(HASH, rewrite=False)
    store.sync(survey_id, privacy=HASH)
    found = store.warehouse.find_person(Person(email="ann'o@x.example"), HASH)
    assert sorted(row[1] for row in found) == sorted(own)


def test_what_a_respondent_writes_to_be_slow_is_not():
    wanted = search("ann@x.example")
    for text in (
        "%25" * 200_000,
        "&amp;" * 200_000,
        "\\u005c" * 100_000,
        "ann@x.example-a" * 50_000,
        "'" * 500_000 + "ann@x.example",
        "&#" + "9" * 100_000,
        "%" * 500_000,
    ):
        wanted.is_in(text)
    assert not wanted.is_in_json("[" * 200_000 + "]" * 200_000)
    assert wanted.is_in_json("[" * 5_000 + '"\\u0061nn@x.example"' + "]" * 5_000)
