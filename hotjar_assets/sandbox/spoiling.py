"""What each fault does to an answer. Which requests a fault hits is decided in `faults`."""

from dataclasses import replace
from random import Random
from urllib.parse import urlencode

from hotjar_assets.sandbox.codec import decode, encode
from hotjar_assets.sandbox.faults import Fault
from hotjar_assets.sandbox.wire import (
    REDIRECTED,
    Answer,
    PageRequest,
    ReceivedRequest,
    envelope,
    error_answer,
    json_answer,
)


def answer_instead(  # noqa: C901, PLR0911 - one line a kind
    fault: Fault, request: ReceivedRequest
) -> Answer | None:
    """Return the answer of a fault that needs no data, or None for the other faults."""
    if fault.kind.isdigit():
        return error_answer(int(fault.kind), retry_after=fault.retry_after)
    match fault.kind:
        case "disconnect":
            return Answer(0, b"", is_dropped=True)
        case "html":
            page = b"<!doctype html><html><body><h1>Back soon</h1></body></html>"
            return Answer(200, page, content_type="text/html; charset=utf-8")
        case "huge":
            start, end = b'{"results":[],"next_cursor":null,"padding":"', b'"}'
            return Answer(200, start + b"x" * (fault.size_bytes - len(start + end)) + end)
        case "raw_body":
            return Answer(fault.status, fault.body, content_type=fault.content_type)
        case "redirect_same_host":
            query = urlencode(request.query | {REDIRECTED: "1"})
            # With one slash: a path that begins with two would name another host.
            path = "/" + request.path.lstrip("/")
            return Answer(307, b"", headers={"Location": f"{path}?{query}"})
        case "redirect_other_host":
            return Answer(307, b"", headers={"Location": fault.location or ""})
        case "sso":
            return json_answer({"success": False, "sso_required": True})
        case "two_factor":
            return json_answer({"success": False, "status": "two_factor_required"})
        case "download_url_missing":
            return json_answer({"status": "queued"})
    return None


def spoil_answer(fault: Fault, answer: Answer) -> Answer:
    """Return the right answer as the fault leaves it."""
    match fault.kind:
        case "bom":
            return replace(answer, body=b"\xef\xbb\xbf" + answer.body)
        case "content_type":
            return replace(answer, content_type="text/plain; charset=utf-8")
        case "cut":
            return replace(answer, is_cut=True)
        case "invalid_json":
            return replace(answer, body=answer.body[: len(answer.body) // 2])
    return answer


def spoil_page(  # noqa: C901, PLR0911 - one line a kind
    fault: Fault,
    request: PageRequest,
    rows: list[bytes],
    next_cursor: str | None,
    *,
    second_cursor: str | None,
) -> bytes:
    """Return the body of a page as the fault leaves it.

    Args:
        fault: What goes wrong.
        request: The page asked for.
        rows: Its rows.
        next_cursor: The cursor it should carry.
        second_cursor: The cursor that led to page 2 of the latest walk.
    """
    match fault.kind:
        case "cursor_absent":
            return b'{"results":[' + b",".join(rows) + b"]}"
        case "cursor_empty":
            return envelope(rows, "")
        case "cycle_cursor":
            return envelope(rows, second_cursor)
        case "duplicate_rows":
            return envelope([row for row in rows for _ in range(2)], next_cursor)
        case "empty_page":
            return envelope([], request.cursor_after(request.cursor.position))
        case "mutate_rows" if fault.transform is not None:
            changed = fault.transform([decode(row) for row in rows])
            return encode({"results": changed, "next_cursor": next_cursor})
        case "repeat_cursor":
            return envelope(rows, request.cursor_text)
        case "results_missing":
            return encode({"next_cursor": next_cursor})
        case "results_null":
            return encode({"results": None, "next_cursor": next_cursor})
        case "unsorted":
            return envelope(_shuffled(rows), next_cursor)
    return envelope(rows, next_cursor)


def _shuffled(rows: list[bytes]) -> list[bytes]:
    shuffled = list(rows)
    Random(len(rows)).shuffle(shuffled)
    return shuffled if shuffled != rows else shuffled[::-1]
