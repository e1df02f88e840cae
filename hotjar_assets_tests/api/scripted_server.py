"""A server that answers what a test tells it to, and keeps what it was sent.

The sandbox behaves like Hotjar; this one behaves as badly as a test wants, byte by byte.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, repeat
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

TOKEN_PATH = "/v1/oauth/token"


@dataclass(frozen=True)
class Sent:
    """One request, as it arrived."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query; a parameter that came twice would be a list, which no test expects."""
        pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {
            name: value for name, values in pairs.items() for value in [",".join(values)] if values
        }

    @property
    def cursor(self) -> str | None:
        return self.query.get("cursor")

    @property
    def token(self) -> str | None:
        authorization = self.headers.get("Authorization")
        return authorization.removeprefix("Bearer ") if authorization else None


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        body: The body; Content-Length is its length.
        status: The status.
        headers: Further headers; one of `Date` takes the place of the real one.
        end: How the answer ends. "whole"; "cut" sends half of the body and closes; "stall" sends
            one byte and waits until the client has hung up; "none" closes without an answer.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    end: str = "whole"


Answer = Reply | Callable[[Sent], Reply]
NO_ANSWER = Reply(end="none")


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(json.dumps(value).encode(), status, {"Content-Type": "application/json", **named})


def page(*rows: Any, next_cursor: Any = None, **root: Any) -> Reply:
    return json_reply({"results": rows, "next_cursor": next_cursor, **root})


def error(status: int, **headers: str) -> Reply:
    return json_reply({"error": f"error_{status}", "message": "no luck"}, status, **headers)


def token_reply(token: str, expires_in: Any = 3600) -> Reply:
    return json_reply({"access_token": token, "token_type": "Bearer", "expires_in": expires_in})


class ScriptedServer:
    """Answers on 127.0.0.1; token requests with token-1, token-2, …, all others by script.

    Attributes:
        sent: Every request, oldest first.
        unscripted: Requests that came after the script had ended.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.unscripted: list[str] = []
        self._lock = threading.Lock()
        self._answers: Iterator[Answer] = iter(())
        self._token_answers: Iterator[Answer] = (token_reply(f"token-{n}") for n in count(1))
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answers(self, *answers: Answer) -> None:
        self._answers = iter(answers)

    def answers_always(self, answer: Answer) -> None:
        self._answers = repeat(answer)

    def grants(self, answers: Iterable[Answer]) -> None:
        """Say how the token requests are answered."""
        self._token_answers = iter(answers)

    @property
    def token_requests(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.path == TOKEN_PATH]

    @property
    def data_requests(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.path != TOKEN_PATH]

    def answer(self, sent: Sent) -> Reply:
        with self._lock:
            self.sent.append(sent)
            answers = self._token_answers if sent.path == TOKEN_PATH else self._answers
            answer = next(answers, None)
            if answer is None:
                self.unscripted.append(f"{sent.method} {sent.target}")
                return Reply(status=418)
        # Outside of the lock: an answer may wait for other requests to arrive.
        return answer(sent) if callable(answer) else answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, scripted: ScriptedServer) -> None:
        self.scripted = scripted
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = Sent(self.command, self.path, self.headers, body)
        reply = self.server.scripted.answer(sent)
        if reply.end == "none":
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        if "Date" not in reply.headers:
            self.send_header("Date", self.date_time_string())
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self._write(reply)

    def do_POST(self) -> None:
        self.do_GET()

    def _write(self, reply: Reply) -> None:
        most = {"cut": len(reply.body) // 2, "stall": 1}.get(reply.end)
        self.wfile.write(reply.body[:most])
        if reply.end == "stall":
            self.rfile.read(1)
        if reply.end != "whole":
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
