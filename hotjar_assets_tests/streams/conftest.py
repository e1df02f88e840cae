"""A scripted server, time that a test moves, and a client of a source between them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import hotjar_assets.streams
from hotjar_assets.streams.loading import load_source
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.spec import Source
from hotjar_assets_tests.api.conftest import api, elsewhere, time
from hotjar_assets_tests.api.model import FakeTime

__all__ = ["api", "connect", "elsewhere", "time"]

EXAMPLES = Path(hotjar_assets.streams.__file__).parent / "examples"
Connect = Callable[..., SourceClient]


def example(name: str) -> Source:
    """Return a worked example."""
    return load_source(EXAMPLES / f"{name}.yaml")


@pytest.fixture
def connect(time: FakeTime) -> Iterator[Connect]:
    """Return what makes a client of a source, on the clock of the test."""
    with ExitStack() as opened:

        def connected(source: Source, environ: dict[str, str], **options: Any) -> SourceClient:
            given: dict[str, Any] = {"sleep": time.sleep, "clock": time.clock}
            client = SourceClient(source, environ, **{**given, **options})
            opened.callback(client.close)
            return client

        yield connected
