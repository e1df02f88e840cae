"""Bodies of answers, bounded in size; `deadlines` bounds the time."""

from collections.abc import Iterator

import requests

from hotjar_assets.api.deadlines import Deadline
from hotjar_assets.api.limits import LARGE_BYTES, MIB, large_answers
from hotjar_assets.errors import HotjarLimitError

_CHUNK_BYTES = 1024 * 1024


def read_body(
    response: requests.Response,
    most_bytes: int,
    deadline: Deadline,
    setting: tuple[str, int] | None = None,
) -> bytes:
    """Return a whole body, a large one when no other is read; errors as in `read_chunks`."""
    chunks, size = [], 0
    for chunk in read_chunks(response, most_bytes, deadline, setting):
        size += len(chunk)
        if size > LARGE_BYTES and not large_answers.is_inside:
            # Waiting for others is not the server's time.
            with deadline.paused():
                large_answers.enter()
        chunks.append(chunk)
    return b"".join(chunks)


def read_chunks(
    response: requests.Response,
    most_bytes: int,
    deadline: Deadline,
    setting: tuple[str, int] | None = None,
) -> Iterator[bytes]:
    """Yield a body, decompressed, as it comes.

    Args:
        response: The answer.
        most_bytes: How large it may be.
        deadline: When it must be here.
        setting: The setting that `most_bytes` follows from, and its value; None where it is fixed.

    Raises:
        HotjarLimitError: It is larger than it may be.
        HotjarTransportError: It takes longer than it may.
    """
    size = 0
    # `iter_content` would wait for a whole chunk, however slowly its bytes come.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > most_bytes:
            response.close()
            size_allowed = f"{most_bytes / MIB:.3g} MiB"
            name, value = setting or ("", size_allowed)
            problem = f"the answer is larger than {size_allowed}"
            raise HotjarLimitError("body", problem, limit=value, setting=name)
        yield chunk
    deadline.check()
