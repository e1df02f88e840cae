"""Bodies of answers, bounded in size; `deadlines` bounds the time."""

from collections.abc import Iterator

import requests

from hotjar_assets.api.deadlines import Deadline
from hotjar_assets.errors import HotjarSchemaError

MAX_BODY_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


def read_body(response: requests.Response, most_bytes: int, deadline: Deadline) -> bytes:
    """Return a whole body; errors as in `read_chunks`."""
    return b"".join(read_chunks(response, most_bytes, deadline))


def read_chunks(
    response: requests.Response, most_bytes: int, deadline: Deadline
) -> Iterator[bytes]:
    """Yield a body, decompressed, as it comes.

    Raises:
        HotjarSchemaError: It is larger than it may be.
        HotjarTransportError: It takes longer than it may.
    """
    size = 0
    # `iter_content` would wait for a whole chunk, however slowly its bytes come.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > most_bytes:
            response.close()
            problem = f"the answer is larger than {most_bytes // 1024 // 1024} MiB"
            raise HotjarSchemaError("body", problem)
        yield chunk
    deadline.check()
