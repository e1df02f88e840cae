"""Two small APIs behind the worked examples: deterministic, and as strict as a real one.

A request they do not expect is answered as an API would: 401 for wrong credentials, 400 for a
parameter that is missing, unknown or malformed, 404 for what is not there. Serve one with
`serving`; what was asked is in `server.sent`.
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from hotjar_assets_tests.api.scripted_server import Reply, ScriptedServer, Sent, error, json_reply

SHOP_KEY = "shop+key/with=signs"
HELPDESK_KEY = "helpdesk-key-7"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def serving(api: Callable[[Sent], Reply]) -> Iterator[ScriptedServer]:
    """Serve an API on 127.0.0.1."""
    with ScriptedServer() as server:
        server.answers_always(api)
        yield server


def instant(hours: float) -> str:
    """Return the time so many hours after the beginning, as the APIs write it."""
    return (BEGIN + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


class Shop:
    """`GET /v1/orders?page&per_page&updated_since[&region]`, oldest change first.

    The key stands in `X-Api-Key: Key …`; a page after the last one is empty.
    """

    def __init__(self, orders: int = 120) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        for number in range(1, orders + 1):
            self.put(number, hours=number)

    def put(self, number: int, *, hours: float, **fields: Any) -> None:
        """Add or change an order, so many hours after the beginning."""
        order = {"id": number, "customer": f"c{number % 7}", "total": number * 1.5, "note": None}
        self.orders[number] = order | fields | {"updated_at": instant(hours)}

    def environment(self, url: str) -> dict[str, str]:
        """Return the variables that the example needs."""
        return {"SHOP_URL": url, "SHOP_KEY": SHOP_KEY}

    def __call__(self, sent: Sent) -> Reply:
        """Answer one request."""
        if sent.headers.get("X-Api-Key") != f"Key {SHOP_KEY}":
            return error(401)
        if (sent.method, sent.path) != ("GET", "/v1/orders"):
            return error(404)
        query = dict(sent.query)
        query.pop("region", None)
        if query.keys() != {"page", "per_page", "updated_since"}:
            return error(400)
        page, size, since = (int(query[name]) for name in ("page", "per_page", "updated_since"))
        if page < 1 or not 1 <= size <= 100:
            return error(400)
        from_instant = datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z")
        changed = [row for row in self.orders.values() if row["updated_at"] >= from_instant]
        changed.sort(key=lambda row: (row["updated_at"], row["id"]))
        rows = changed[(page - 1) * size : page * size]
        return json_reply({"data": rows, "currency": "EUR", "total": len(changed)})


class Helpdesk:
    """`GET /api/tickets?offset&limit` and `GET /api/tickets/{id}/comments?offset&limit`.

    Basic, the key for a username and a blank password. Tickets name the next offset, comments do
    not. The id of a ticket holds what a path must escape.
    """

    def __init__(self, tickets: int = 45) -> None:
        self.tickets: list[dict[str, Any]] = []
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.failing: set[str] = set()
        for number in range(tickets):
            self.add_ticket(f"T/{number} é", comments=number % 13)

    def add_ticket(self, ticket_id: str, *, comments: int = 0) -> None:
        """Add a ticket with comments."""
        hours = len(self.tickets)
        self.tickets.append(
            {"id": ticket_id, "subject": f"About {ticket_id}", "opened_at": instant(hours)}
        )
        self.comments[ticket_id] = []
        for _ in range(comments):
            self.add_comment(ticket_id)

    def add_comment(self, ticket_id: str) -> None:
        """Add a comment to a ticket."""
        comments = self.comments[ticket_id]
        number = len(comments) + 1
        comments.append({"number": number, "author": f"a{number % 3}", "text": f"text {number}"})

    def environment(self, url: str) -> dict[str, str]:
        """Return the variables that the example needs."""
        return {"HELPDESK_URL": url, "HELPDESK_KEY": HELPDESK_KEY}

    def __call__(self, sent: Sent) -> Reply:
        """Answer one request."""
        expected = base64.b64encode(f"{HELPDESK_KEY}:".encode()).decode()
        if sent.headers.get("Authorization") != f"Basic {expected}":
            return error(401)
        parts = [unquote(part) for part in sent.path.split("/")[1:]]
        if sent.query.keys() != {"offset", "limit"}:
            return error(400)
        offset, limit = int(sent.query["offset"]), int(sent.query["limit"])
        match parts:
            case ["api", "tickets"]:
                end = offset + limit
                following = end if end < len(self.tickets) else None
                return json_reply({"tickets": self.tickets[offset:end], "next_offset": following})
            case ["api", "tickets", ticket_id, "comments"] if ticket_id in self.comments:
                if ticket_id in self.failing:
                    return error(403)
                return json_reply({"comments": self.comments[ticket_id][offset : offset + limit]})
        return error(404)
