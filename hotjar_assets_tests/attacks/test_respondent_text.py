"""A person who answers a survey writes a text on which a search takes for ever.

`privacy.is_email` looks at no more than an address has characters, `without_emails` at each word
once, and `choices` tries no more than a fixed number of readings. Each text here is one on which
the square of its length would take minutes or hours: the suite's time limit is what fails.
"""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotjar_assets.api.choices import Choices
from hotjar_assets.privacy import is_email, without_emails

LONG = 300_000
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
"""What an address is, as slow as it is short."""
COVER = "[e-mail address]"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "a" * LONG,
        "@" * LONG,
        "a@" * LONG,
        "a@" + "." * LONG,
        "a@" + "a" * LONG,
        "a@b" + " " * LONG + "c.d",
        "a@b." + "c." * LONG + "@",
        "\u00e9" * LONG + "@x",
        "\n@" * LONG,
    ],
    ids=["word", "ats", "pairs", "dots", "no-dot", "blanks", "domains", "accents", "lines"],
)
def test_a_long_text_is_no_address_and_is_not_searched_for_ever(text):
    assert not is_email(text)
    assert len(without_emails(text)) <= len(text) + len(COVER)


def test_every_short_text_gets_the_verdict_of_the_pattern():
    texts = ("".join(letters) for n in range(1, 8) for letters in product("a@. ", repeat=n))
    for text in texts:
        assert is_email(text) == bool(ADDRESS.fullmatch(text.strip())), text
        assert without_emails(text) == ADDRESS.sub(COVER, text), text


@given(st.text(st.sampled_from("ab@. \n\t\u00a0\u2028+_"), max_size=60))
def test_any_text_gets_the_verdict_of_the_pattern(text):
    assert is_email(text) == bool(ADDRESS.fullmatch(text.strip()))
    assert without_emails(text) == ADDRESS.sub(COVER, text)


def test_an_address_of_the_greatest_length_is_one():
    longest = "a" * 64 + "@" + "b" * 251 + ".com"
    assert len(longest) == 320
    assert is_email(longest)
    assert not is_email("a" + longest)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("separator", [",", ", ", " \n " * 20])
def test_a_cell_that_reads_as_choices_in_many_ways_is_kept_as_it_is(separator):
    texts = ["a" * n for n in range(1, 400)]
    cell = separator.join(["a"] * 20_000)
    assert Choices(texts).named_in(cell) == (cell,)


def test_a_cell_of_many_choices_is_still_taken_apart():
    texts = [f"choice number {n}" for n in range(60)]
    assert Choices(texts).named_in(", ".join(texts)) == tuple(texts)
