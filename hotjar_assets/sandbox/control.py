"""Endpoints under /_sandbox that change the running sandbox from another process.

They take and return JSON and ask for no credentials; the sandbox listens on this machine alone.
With the sandbox at http://127.0.0.1:8765:

    curl -d '{"survey_id": "1204501", "count": 3}' http://127.0.0.1:8765/_sandbox/responses
    curl -X PATCH -d '{"survey_id": "1204501", "response_id": "…", "fields": {"country": null}}' \
        http://127.0.0.1:8765/_sandbox/responses
    curl -X DELETE -d '{"survey_id": "1204501", "response_id": "…"}' \
        http://127.0.0.1:8765/_sandbox/responses
    curl -d '{"name": "New survey", "responses": 40}' http://127.0.0.1:8765/_sandbox/surveys
    curl -X PATCH -d '{"survey_id": "1204501", "fields": {"is_enabled": false}}' \
        http://127.0.0.1:8765/_sandbox/surveys
    curl -X DELETE -d '{"survey_id": "1204501"}' http://127.0.0.1:8765/_sandbox/surveys
    curl -d '{"kind": "429", "path": "responses", "retry_after": 2, "times": 1}' \
        http://127.0.0.1:8765/_sandbox/faults
    curl http://127.0.0.1:8765/_sandbox/faults
    curl -X DELETE http://127.0.0.1:8765/_sandbox/faults
    curl http://127.0.0.1:8765/_sandbox/requests
    curl -X DELETE http://127.0.0.1:8765/_sandbox/requests
    curl -X DELETE http://127.0.0.1:8765/_sandbox/tokens

The fields of a fault are those of `faults.Fault`, without `transform`; the last DELETE makes all
tokens invalid. Requests are shown without secrets.
"""

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hotjar_assets.sandbox.account import SandboxAccount
from hotjar_assets.sandbox.faults import Fault, Faults
from hotjar_assets.sandbox.wire import RequestLog

_Json = dict[str, Any]
_SECRETS = frozenset({"authorization", "client_secret", "x-acc"})


def control_routes(
    account: SandboxAccount,
    *,
    faults: Faults,
    requests: RequestLog,
    expire_tokens: Callable[[], None],
) -> list[Route]:
    """Return the routes that change the given sandbox."""
    responses, surveys = _Responses(account), _Surveys(account)
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


class _Responses:
    def __init__(self, account: SandboxAccount) -> None:
        self._account = account

    def add(self, body: _Json) -> _Json:
        created_at = body.get("created_at")
        ids = self._account.add_responses(
            body["survey_id"],
            body.get("count", 1),
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
    def __init__(self, account: SandboxAccount) -> None:
        self._account = account

    def add(self, body: _Json) -> _Json:
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
                for request in self._requests.all()
            ]
        }

    def clear(self, _: _Json) -> _Json:
        self._requests.clear()
        return {}


def _route(path: str, **actions: Callable[[_Json], _Json]) -> Route:
    async def endpoint(request: Request) -> Response:
        action = actions[request.method if request.method != "HEAD" else "GET"]
        raw = await request.body()
        try:
            body = json.loads(raw) if raw else {}
            return JSONResponse(action(body))
        except KeyError as error:
            message = f"missing field, or no such survey or response: {error}"
            return JSONResponse({"error": message}, status_code=400)
        except (AttributeError, TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    return Route(path, endpoint, methods=list(actions))


def _shown(fault: Fault, *, hits: int) -> _Json:
    shown = {field.name: getattr(fault, field.name) for field in fields(fault)}
    del shown["transform"]
    return shown | {"body": fault.body.decode("utf-8", "replace"), "hits": hits}


def _without_secrets(named: dict[str, str]) -> dict[str, str]:
    return {name: "***" if name in _SECRETS else value for name, value in named.items()}
