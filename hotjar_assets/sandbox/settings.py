"""How the server behaves; the meaning of each setting is told at `SandboxServer`."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hotjar_assets.sandbox.constants import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_EMAIL,
    SANDBOX_PASSWORD,
)
from hotjar_assets.sandbox.insights import ExportFormat
from hotjar_assets.sandbox.pages import Order, Paging


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings that the application reads."""

    client_id: str = SANDBOX_CLIENT_ID
    client_secret: str = SANDBOX_CLIENT_SECRET
    email: str = SANDBOX_EMAIL
    password: str = SANDBOX_PASSWORD
    export_format: ExportFormat = "zip"
    needs_cookies: bool = False
    latency_seconds: float = 0.0
    requests_per_minute: int | None = None
    paging: Paging = "keyset"
    order: Order = "newest_first"
    endpoint: str | None = None
    token_lifetime_seconds: float = 3600
    monotonic: Callable[[], float] = time.monotonic
