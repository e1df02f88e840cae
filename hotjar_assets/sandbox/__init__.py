"""A local Hotjar: its API v1 and its Insights export over real HTTP, with lifelike data.

The same account is served as Contentsquare would, on the paths of its Responses API.

Here live the account (the data), the faults (what can go wrong) and the server. Nothing here
reads Hotjar or knows the client. The web framework is imported only when a server starts, so the
constants cost nothing to import.

    with SandboxServer() as server:
        print(server.url)
"""

from hotjar_assets.sandbox.account import SandboxAccount
from hotjar_assets.sandbox.constants import (
    SANDBOX_CLIENT_ID,
    SANDBOX_CLIENT_SECRET,
    SANDBOX_EMAIL,
    SANDBOX_HEADER,
    SANDBOX_ORGANIZATION_ID,
    SANDBOX_PASSWORD,
    SANDBOX_PROJECT_ID,
    SANDBOX_SECOND_SITE_ID,
    SANDBOX_SITE_ID,
)
from hotjar_assets.sandbox.contentsquare import ContentsquareAccount
from hotjar_assets.sandbox.faults import Fault
from hotjar_assets.sandbox.server import SandboxServer, run
from hotjar_assets.sandbox.wire import ReceivedRequest

__all__ = [
    "SANDBOX_CLIENT_ID",
    "SANDBOX_CLIENT_SECRET",
    "SANDBOX_EMAIL",
    "SANDBOX_HEADER",
    "SANDBOX_ORGANIZATION_ID",
    "SANDBOX_PASSWORD",
    "SANDBOX_PROJECT_ID",
    "SANDBOX_SECOND_SITE_ID",
    "SANDBOX_SITE_ID",
    "ContentsquareAccount",
    "Fault",
    "ReceivedRequest",
    "SandboxAccount",
    "SandboxServer",
    "run",
]
