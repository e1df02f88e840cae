"""Partition keys, and the tags by which a run names some of them."""

import dagster as dg
import pytest

from hotjar_assets.defs.partitions import (
    RANGE_END,
    RANGE_START,
    add_surveys,
    known_surveys,
    range_tags,
    survey_partitions,
)


@pytest.mark.parametrize(
    ("wanted", "ranges"),
    [
        pytest.param("abcde", [("a", "e")], id="all"),
        pytest.param("c", [("c", "c")], id="one"),
        pytest.param("ab", [("a", "b")], id="the first ones"),
        pytest.param("de", [("d", "e")], id="the last ones"),
        pytest.param("ace", [("a", "a"), ("c", "c"), ("e", "e")], id="with holes"),
        pytest.param("abde", [("a", "b"), ("d", "e")], id="two ranges"),
        pytest.param("eca", [("a", "a"), ("c", "c"), ("e", "e")], id="in another order"),
        pytest.param("az", [("a", "a")], id="one that is unknown"),
        pytest.param("", [], id="none"),
    ],
)
def test_ranges_cover_exactly_the_wanted_keys(wanted, ranges):
    tags = list(range_tags("abcde", list(wanted)))

    assert tags == [{RANGE_START: start, RANGE_END: end} for start, end in ranges]


def test_no_key_gives_no_range():
    assert list(range_tags([], ["a"])) == []


def test_partitions_are_named_as_tools_rely_on():
    assert survey_partitions.name == "survey_id"


def test_added_surveys_are_sorted_and_follow_the_known_ones(deployment):
    add_surveys(deployment.instance, ["5"])

    added = add_surveys(deployment.instance, ["9", "5", "1"])

    assert added == ["1", "9"]
    assert list(known_surveys(deployment.instance)) == ["5", "1", "9"]


def test_adding_known_surveys_again_changes_nothing(deployment):
    add_surveys(deployment.instance, ["5", "9"])

    assert add_surveys(deployment.instance, ["9", "5"]) == []
    assert list(known_surveys(deployment.instance)) == ["5", "9"]


def keys_of(deployment, first, last):
    with dg.partition_loading_context(dynamic_partitions_store=deployment.instance):
        return list(
            survey_partitions.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))
        )


def test_keys_of_a_range_are_asked_for_once_while_they_are_held(deployment):
    add_surveys(deployment.instance, ["1", "3"])
    with survey_partitions.held():
        before = keys_of(deployment, "1", "3")
        deployment.instance.delete_dynamic_partition("survey_id", "1")
        meanwhile = keys_of(deployment, "1", "3")

    assert before == meanwhile == ["1", "3"]


def test_keys_of_a_range_are_not_held_beyond(deployment):
    add_surveys(deployment.instance, ["1", "3"])
    with survey_partitions.held():
        keys_of(deployment, "1", "3")
    deployment.instance.delete_dynamic_partition("survey_id", "1")
    add_surveys(deployment.instance, ["1"])

    assert keys_of(deployment, "3", "1") == ["3", "1"]


def test_dagster_sees_the_partitions_as_its_own_kind():
    assert survey_partitions == dg.DynamicPartitionsDefinition(name="survey_id")
    assert type(survey_partitions).__name__ == dg.DynamicPartitionsDefinition.__name__
