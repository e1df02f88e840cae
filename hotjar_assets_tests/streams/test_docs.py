"""The page about streams says what the models say, and shows the examples as they are."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from hotjar_assets.errors import HotjarSourceError
from hotjar_assets.streams import spec
from hotjar_assets.streams.loading import load_source
from hotjar_assets_tests.streams.conftest import EXAMPLES


@pytest.fixture(scope="module")
def page(project):
    return (project / "docs" / "streams.md").read_text(encoding="utf-8")


def test_examples_are_shown_as_they_are(page):
    shown = re.findall(r"(?s)```yaml\n(.*?)```", page)
    assert sorted(shown) == sorted(path.read_text("utf-8") for path in EXAMPLES.glob("*.yaml"))


def models():
    return [
        model
        for model in vars(spec).values()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and model.__module__ == spec.__name__
    ]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_field_is_explained(model, page):
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", page))))
    assert {field.alias or name for name, field in model.model_fields.items()} <= words


def test_mistake_is_answered_as_the_page_says(page):
    text = (EXAMPLES / "shop.yaml").read_text("utf-8").replace("pagination:", "pagnation:")
    with pytest.raises(HotjarSourceError) as caught:
        load_source(Path("streams/shop.yaml"), text)
    assert f"    {caught.value}\n" in page


def test_page_is_linked(project):
    assert "(docs/streams.md)" in (project / "README.md").read_text(encoding="utf-8")
