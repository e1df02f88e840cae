r"""Endpoints under /_sandbox that change the running sandbox from another process.

They take and return JSON and ask for no credentials; the sandbox listens on this machine alone, and
`gate` keeps web pages out. A body must be sent as `application/json`, which a form of a page cannot
do. How much may be asked for is in `limits`. With the sandbox at http://127.0.0.1:8765:

    json='Content-Type: application/json'
    url=http://127.0.0.1:8765/_sandbox
    curl -H "$json" -d '{"survey_id": "1204501", "count": 3}' $url/responses
    curl -H "$json" -X PATCH $url/responses \
        -d '{"survey_id": "1204501", "response_id": "…", "fields": {"country": null}}'
    curl -H "$json" -X DELETE $url/responses -d '{"survey_id": "1204501", "response_id": "…"}'
    curl -H "$json" -d '{"name": "New survey", "responses": 40}' $url/surveys
    curl -H "$json" -X PATCH $url/surveys \
        -d '{"survey_id": "1204501", "fields": {"is_enabled": false}}'
    curl -H "$json" -X DELETE -d '{"survey_id": "1204501"}' $url/surveys
    curl -H "$json" -d '{"kind": "429", "path": "responses", "retry_after": 2, "times": 1}' \
        $url/faults
    curl $url/faults
    curl -X DELETE $url/faults
    curl $url/requests
    curl -X DELETE $url/requests
    curl -X DELETE $url/tokens

The fields of a fault are those of `faults.Fault`, without `transform`; the last DELETE makes all
tokens invalid. Requests are shown without secrets, the newest.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hotjar_assets.printable import is_printable, printable
from hotjar_assets.sandbox.account import SandboxAccount
from hotjar_assets.sandbox.faults import Fault, Faults
from hotjar_assets.sandbox.limits import (
    MAX_ADDED_BYTES,
    MAX_DELAY_SECONDS,
    MAX_FAULT_BYTES,
    MAX_FAULT_COUNT,
    MAX_FAULT_ROWS,
    MAX_FAULTS,
    MAX_RESPONSES,
    MAX_SHOWN_REQUESTS,
    MAX_SURVEYS,
    RESPONSE_BYTES,
)
from hotjar_assets.sandbox.wire import RequestLog

_Json = dict[str, Any]
_SECRETS = frozenset({"authorization", "client_secret", "cookie", "x-acc"})
_FAULT_LIMITS: Mapping[str, tuple[float, float]] = {
    "times": (0, MAX_FAULT_COUNT),
    "after": (0, MAX_FAULT_COUNT),
    "page": (1, MAX_FAULT_COUNT),
    "rows": (0, MAX_FAULT_ROWS),
    "size_bytes": (0, MAX_FAULT_BYTES),
    "status": (200, 599),
    "delay_seconds": (0, MAX_DELAY_SECONDS),
}
_FAULT_HEADERS = ("retry_after", "location", "content_type")


def control_routes(
    account: SandboxAccount,
    *,
    faults: Faults,
    requests: RequestLog,
    expire_tokens: Callable[[], None],
) -> list[Route]:
    """Return the routes that change the given sandbox."""
    added = _Added()
    responses, surveys = _Responses(account, added), _Surveys(account, added)
    faulty, log = _Faults(faults), _Requests(requests)

    def drop_tokens(_: _Json) -> _Json:
        expire_tokens()
        return {}

    return [
        _route("/responses", POST=responses.add, PATCH=responses.change, DELETE=responses.delete),
        _route("/surveys", POST=surveys.add, PATCH=surveys.change, DELETE=surveys.remove),
        _route("/faults", GET=faulty.show, POST=faulty.add, DELETE=faulty.clear),
        _route("/requests", GET=log.show, DELETE=log.clear),
        _route("/tokens", DELETE=drop_tokens),
    ]


class _Added:
    """What control requests have added; the sandbox keeps all of it in memory."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()

    def count(self, surveys: int, responses: int, fields: object) -> None:
        """Count what a request adds.

        Args:
            surveys: How many surveys.
            responses: How many responses.
            fields: What each response holds besides what is made up.

        Raises:
            ValueError: It would be too much.
        """
        size = responses * (RESPONSE_BYTES + len(json.dumps(fields)))
        if self._totals["surveys"] + surveys > MAX_SURVEYS:
            raise ValueError(f"more than {MAX_SURVEYS} surveys are not added; restart the sandbox")
        if self._totals["bytes"] + size > MAX_ADDED_BYTES:
            raise ValueError(
                f"the responses added would take more than {MAX_ADDED_BYTES // 1_000_000} MB; add "
                "fewer, or restart the sandbox"
            )
        self._totals.update(surveys=surveys, bytes=size)


class _Responses:
    def __init__(self, account: SandboxAccount, added: _Added) -> None:
        self._account = account
        self._added = added

    def add(self, body: _Json) -> _Json:
        created_at = body.get("created_at")
        count = body.get("count", 1)
        _check_number("count", count, 0, MAX_RESPONSES)
        self._added.count(0, count, body.get("fields"))
        ids = self._account.add_responses(
            body["survey_id"],
            count,
            created_at=None if created_at is None else datetime.fromisoformat(created_at),
            **body.get("fields", {}),
        )
        return {"ids": ids}

    def change(self, body: _Json) -> _Json:
        self._account.set_response(body["survey_id"], body["response_id"], **body["fields"])
        return {}

    def delete(self, body: _Json) -> _Json:
        self._account.delete_response(body["survey_id"], body["response_id"])
        return {}


class _Surveys:
    def __init__(self, account: SandboxAccount, added: _Added) -> None:
        self._account = account
        self._added = added

    def add(self, body: _Json) -> _Json:
        responses = body.get("responses", 0)
        _check_number("responses", responses, 0, MAX_RESPONSES)
        self._added.count(1, responses, None)
        return {"id": self._account.add_survey(**body)}

    def change(self, body: _Json) -> _Json:
        self._account.update_survey(body["survey_id"], **body["fields"])
        return {}

    def remove(self, body: _Json) -> _Json:
        self._account.remove_survey(body["survey_id"])
        return {}


class _Faults:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def show(self, _: _Json) -> _Json:
        return {"faults": [_shown(fault, hits=self._faults.hits(fault)) for fault in self._faults]}

    def add(self, body: _Json) -> _Json:
        if len(self._faults) >= MAX_FAULTS:
            raise ValueError(f"there are {MAX_FAULTS} faults already; delete them first")
        for name, (least, most) in _FAULT_LIMITS.items():
            if body.get(name) is not None:
                _check_number(name, body[name], least, most)
        for name in _FAULT_HEADERS:
            value = str(body.get(name, ""))
            if not (is_printable(value) and value.isascii()):
                raise ValueError(f"{name} must be ASCII text without control characters")
        self._faults.add(Fault(**body | {"body": body.get("body", "").encode()}))
        return {}

    def clear(self, _: _Json) -> _Json:
        self._faults.clear()
        return {}


class _Requests:
    def __init__(self, requests: RequestLog) -> None:
        self._requests = requests

    def show(self, _: _Json) -> _Json:
        return {
            "requests": [
                {
                    "method": request.method,
                    "path": request.path,
                    "query": request.query,
                    "headers": _without_secrets(request.headers),
                    "form": _without_secrets(request.form),
                }
                for request in self._requests.all()[-MAX_SHOWN_REQUESTS:]
            ]
        }

    def clear(self, _: _Json) -> _Json:
        self._requests.clear()
        return {}


def _route(path: str, **actions: Callable[[_Json], _Json]) -> Route:
    async def endpoint(request: Request) -> Response:
        action = actions[request.method if request.method != "HEAD" else "GET"]
        raw = await request.body()
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and (raw or request.method in {"POST", "PATCH"}):
            return _error(415, "the body must be sent with Content-Type: application/json")
        try:
            body = json.loads(raw) if raw else {}
            return JSONResponse(action(body))
        except KeyError as error:
            return _error(400, f"missing field, or no such survey or response: {error}")
        except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError) as error:
            return _error(400, str(error))

    return Route(path, endpoint, methods=list(actions))


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": printable(message)}, status_code=status)


def _check_number(name: str, value: object, least: float, most: float) -> None:
    """Refuse what is not a number, or too small or large; a boolean and NaN are not numbers here.

    Raises:
        ValueError: It is refused.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = name == "delay_seconds" or isinstance(value, int)
    if not (is_number and whole and least <= value <= most and math.isfinite(value)):  # type: ignore[operator,arg-type]
        raise ValueError(f"{name} must be a number from {least:g} to {most:g}")


def _shown(fault: Fault, *, hits: int) -> _Json:
    shown = {field.name: getattr(fault, field.name) for field in fields(fault)}
    del shown["transform"]
    return shown | {"body": fault.body.decode("utf-8", "replace"), "hits": hits}


def _without_secrets(named: dict[str, str]) -> dict[str, str]:
    return {name: "***" if name in _SECRETS else value for name, value in named.items()}
