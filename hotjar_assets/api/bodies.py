"""Bodies of answers, bounded in size and in time."""

from collections.abc import Callable, Iterator

import requests

from hotjar_assets.errors import HotjarSchemaError, HotjarTransportError

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_BODY_SECONDS = 120.0
_CHUNK_BYTES = 1024 * 1024


def read_body(response: requests.Response, most_bytes: int, clock: Callable[[], float]) -> bytes:
    """Return a whole body; errors as in `read_chunks`."""
    return b"".join(read_chunks(response, most_bytes, MAX_BODY_SECONDS, clock))


def read_chunks(
    response: requests.Response, most_bytes: int, most_seconds: float, clock: Callable[[], float]
) -> Iterator[bytes]:
    """Yield a body, decompressed, as it comes.

    Raises:
        HotjarSchemaError: It is larger than it may be.
        HotjarTransportError: It takes longer than it may.
    """
    deadline, size = clock() + most_seconds, 0
    # `iter_content` would wait for a whole chunk, however slowly its bytes come.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > most_bytes:
            response.close()
            problem = f"the answer is larger than {most_bytes // 1024 // 1024} MiB"
            raise HotjarSchemaError("body", problem)
        if clock() > deadline:
            response.close()
            problem = f"the answer took longer than {most_seconds:.0f} s"
            raise HotjarTransportError(problem)
        yield chunk
