"""JSON as the sandbox sends and reads it: also what a well-behaved API would not send."""

import json

import msgspec

from hotjar_assets.sandbox.catalog import JsonObject


def encode(value: object) -> bytes:
    """Encode JSON; text that is not valid Unicode is sent as escapes, as some servers do."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def decode(body: bytes) -> JsonObject:
    """Decode JSON, lone surrogates included."""
    decoded: JsonObject = json.loads(body)
    return decoded
