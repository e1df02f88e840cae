"""What a cell of several choices becomes: taken apart only where there is one way to read it."""

import pytest

from hotjar_assets.api.choices import Choices
from hotjar_assets.api.records import Choice, Question

FEATURES = ["Price", "Support", "Speed, and more", "Über uns", "Price, Support & co"]


def named(cell: str, texts: list[str] = FEATURES, kind: str | None = "multiple-option"):
    choices = [Choice(text=text) for text in texts]
    return list(Choices.of(Question(id="q", type=kind, choices=choices)).named_in(cell))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("Price, Support", ["Price", "Support"]),
        ("Support,Price", ["Support", "Price"]),
        ("Price; Support", ["Price", "Support"]),
        ("Price\r\nSupport", ["Price", "Support"]),
        ("Price | Support", ["Price", "Support"]),
        ("Price, Speed, and more, Support", ["Price", "Speed, and more", "Support"]),
        ("Speed, and more,Price", ["Speed, and more", "Price"]),
        ("  U\u0308ber uns, Speed,  and more ", ["Über uns", "Speed, and more"]),
        ("Price, Support & co, Support", ["Price, Support & co", "Support"]),
    ],
)
def test_known_choices_are_an_answer_each(cell, expected):
    assert named(cell) == expected


@pytest.mark.parametrize(
    "cell",
    [
        "Price",
        "Speed, and more",
        "Price, Other",
        "Price, Other: Support",
        "Price, Price",
        "Price,",
        ", Price",
        "Price Support",
        "Price, , Support",
        "price, support",
        "Price, Support, " * 1000,
        " ",
    ],
)
def test_what_is_not_known_choices_from_end_to_end_stays_one_answer(cell):
    assert named(cell) == [cell]


def test_what_may_be_read_in_two_ways_stays_one_answer():
    assert named("Red, dark", ["Red", "dark", "Red, dark"]) == ["Red, dark"]
    assert named("A, B, C", ["A", "B", "C", "A, B", "B, C"]) == ["A, B, C"]


@pytest.mark.parametrize("kind", ["multiple-option", "multiple-close-ended", None])
def test_a_type_that_nobody_documented_may_have_several(kind):
    assert named("Price, Support", kind=kind) == ["Price", "Support"]


@pytest.mark.parametrize("kind", ["single-option", "single-close-ended"])
def test_where_one_choice_is_all_there_is_nothing_to_take_apart(kind):
    assert named("Price, Support", kind=kind) == ["Price, Support"]


def test_a_question_without_choices_keeps_its_cells():
    assert named("Price, Support", []) == ["Price, Support"]
    assert Choices.of(Question(id="q", text="Why?")).named_in("a, b") == ("a, b",)


def test_choices_that_overlap_in_many_ways_are_no_work_without_end():
    texts = ["a" * length for length in range(1, 40)]
    assert named(", ".join(texts), texts) == texts
    assert named(",".join(["a,a"] * 50), ["a", "a,a"]) == [",".join(["a,a"] * 50)]
