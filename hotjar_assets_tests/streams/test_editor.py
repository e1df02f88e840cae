"""The JSON Schema that editors complete by: up to date, and of the same mind as the loader."""

import json

import jsonschema
import pytest
import yaml

from hotjar_assets.streams.editor import SCHEMA_FILE, source_schema
from hotjar_assets.streams.loading import load_source
from hotjar_assets_tests.streams.conftest import EXAMPLES
from hotjar_assets_tests.streams.test_loading import GOOD


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_file_is_what_make_schema_writes():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == source_schema()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_fits_and_names_the_schema(path, validator):
    text = path.read_text(encoding="utf-8")
    source = load_source(path)
    validator.validate(json.loads(source.model_dump_json(by_alias=True, exclude_unset=True)))
    first, _, _ = text.partition("\n")
    target = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / target).resolve() == SCHEMA_FILE.resolve()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pagination:", "pagnation:"),
        ("type: page", "type: pages"),
        ("place: query", "place: querry"),
        ("name: lines", "name: Lines"),
        ("key_env: ACME_KEY", "key_env: a-key"),
        ("    path: /orders\n", ""),
    ],
)
def test_words_that_the_loader_refuses_are_marked_in_the_editor(old, new, validator):
    assert validator.is_valid(yaml.safe_load(GOOD))
    assert not validator.is_valid(yaml.safe_load(GOOD.replace(old, new, 1)))
