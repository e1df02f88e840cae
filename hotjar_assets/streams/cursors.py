"""Values of an incremental field: how they compare, and what lies some seconds before one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.streams.spec import Stream

Value = datetime | int | float | str
"""A value of an incremental field."""


def comparable(value: Any) -> Any:
    """Return a cursor as what it can be compared by: an instant where its text is one."""
    if not isinstance(value, str):
        return value
    try:
        instant = datetime.fromisoformat(value.strip().upper())
    except ValueError:
        return value
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def are_alike(value: Any, since: Value | None) -> bool:
    """Tell whether a value can be compared with the one from which on is read."""
    if value is None or isinstance(value, bool | list | dict):
        return False
    if since is None:
        return True
    numbers = (int, float)
    return type(value) is type(since) or (isinstance(value, numbers) and isinstance(since, numbers))


def minus_seconds(value: Value, seconds: int, form: str, stream: Stream) -> Value:
    """Return a cursor so many seconds earlier.

    Raises:
        HotjarConfigError: It is no instant.
    """
    if not seconds:
        return value
    moved = comparable(value)
    if isinstance(moved, datetime):
        return moved - timedelta(seconds=seconds)
    if isinstance(moved, int | float) and form in {"timestamp", "milliseconds"}:
        return moved - seconds * (1000 if form == "milliseconds" else 1)
    raise HotjarConfigError(
        stream.name,
        "incremental.lookback_seconds needs a field that is an instant, or a number with format "
        "timestamp or milliseconds",
    )
