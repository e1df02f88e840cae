"""Bodies of answers, bounded in size; `deadlines` bounds the time."""

import zlib
from collections.abc import Iterable, Iterator

import requests
from urllib3.exceptions import DecodeError, ProtocolError

from hotjar_assets.api.deadlines import Deadline
from hotjar_assets.api.limits import LARGE_BYTES, MIB, large_answers
from hotjar_assets.errors import HotjarLimitError

_CHUNK_BYTES = 1024 * 1024
_GZIP_NAMES = {"gzip", "x-gzip"}
_GZIP_BITS = 16 + zlib.MAX_WBITS


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
        HTTPError: It is cut off, or its compression is damaged.
    """
    size = 0
    for chunk in _decompressed(response):
        size += len(chunk)
        if size > most_bytes:
            response.close()
            size_allowed = f"{most_bytes / MIB:.3g} MiB"
            name, value = setting or ("", size_allowed)
            problem = f"the answer is larger than {size_allowed}"
            raise HotjarLimitError("body", problem, limit=value, setting=name)
        yield chunk
    deadline.check()


def _decompressed(response: requests.Response) -> Iterator[bytes]:
    # urllib3 takes gzip that is cut off for a whole body, so gzip is not left to it.
    is_gzip = response.headers.get("Content-Encoding", "").strip().lower() in _GZIP_NAMES

    def read() -> bytes:
        # `iter_content` would wait for a whole chunk, however slowly its bytes come.
        chunk: bytes = response.raw.read1(_CHUNK_BYTES, decode_content=not is_gzip)
        return chunk

    chunks = iter(read, b"")
    return _unzipped(chunks) if is_gzip else chunks


def _unzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip of one or more members; what follows them and is not gzip is ignored."""
    member, is_first, is_open = zlib.decompressobj(_GZIP_BITS), True, False
    for chunk in chunks:
        data = chunk
        while data:
            if member.eof:
                member, is_first, is_open = zlib.decompressobj(_GZIP_BITS), False, False
            try:
                piece = member.decompress(data, _CHUNK_BYTES)
            except zlib.error as error:
                if is_first or is_open:
                    raise DecodeError("damaged gzip") from error
                return
            is_open = not member.eof and (is_first or is_open or bool(piece))
            data = member.unused_data if member.eof else member.unconsumed_tail
            if piece:
                yield piece
    if piece := member.flush():
        yield piece
    if is_open and not member.eof:
        raise ProtocolError("gzip that is cut off")
