"""A scripted server, time that a test moves, and a client between them."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hotjar_assets.api.client import HotjarClient
from hotjar_assets_tests.api.model import CLIENT_ID, CLIENT_SECRET, SITE_ID, FakeTime
from hotjar_assets_tests.api.scripted_server import ScriptedServer

Connect = Callable[..., HotjarClient]


@pytest.fixture
def api() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server
        assert not server.unscripted


@pytest.fixture
def elsewhere() -> Iterator[ScriptedServer]:
    """Another server: a stranger, or a proxy."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def connect(time: FakeTime, api: ScriptedServer) -> Iterator[Connect]:
    """Return what makes a client; without pacing, so that all sleep is sleep between tries."""
    with ExitStack() as opened:

        def connected(url: str = api.url, **options: Any) -> HotjarClient:
            given: dict[str, Any] = {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "site_ids": (SITE_ID,),
                "requests_per_minute": math.inf,
                "sleep": time.sleep,
                "clock": time.clock,
            }
            client = HotjarClient(url, **{**given, **options})
            opened.callback(client.close)
            return client

        yield connected


@pytest.fixture
def client(connect: Connect) -> HotjarClient:
    return connect()
