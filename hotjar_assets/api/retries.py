"""When a request is tried again, and how long to wait before."""

import random
from collections.abc import Callable

import tenacity
from tenacity.stop import stop_base

from hotjar_assets.errors import HotjarApiError, HotjarRateLimitError, HotjarStatusError

MAX_TRIES = 6
MAX_WAIT_SECONDS = 60.0
"""From the first try of a request, no further one begins later than this."""


def policy(
    *,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    before_sleep: Callable[[tenacity.RetryCallState], None],
    max_told_seconds: float = MAX_WAIT_SECONDS,
) -> tenacity.Retrying:
    """Return what tries one request again; good for one use.

    Args:
        sleep: Called with the seconds to wait between tries; may raise to stop waiting.
        clock: Seconds on a clock that never goes backwards.
        before_sleep: Called before each wait.
        max_told_seconds: From the first try, no further one begins later than this where the API
            says how long to wait.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(
            # A token request that was given up inside of this attempt had its own tries.
            lambda error: isinstance(error, HotjarApiError) and error.retryable and not error.tries
        ),
        wait=_wait_seconds,
        stop=tenacity.stop_any(
            tenacity.stop_after_attempt(MAX_TRIES), _OutOfTime(clock, max_told_seconds)
        ),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )


class _OutOfTime(stop_base):
    """Stops before the wait that would end too late after the first try."""

    def __init__(self, clock: Callable[[], float], max_told_seconds: float) -> None:
        self._clock = clock
        self._max_told_seconds = max_told_seconds
        self._began_at = clock()

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        passed = max(retry_state.idle_for, self._clock() - self._began_at)
        is_told = bool(_told_seconds(retry_state))
        most = self._max_told_seconds if is_told else MAX_WAIT_SECONDS
        return passed + retry_state.upcoming_sleep > most


def _wait_seconds(state: tenacity.RetryCallState) -> float:
    """Wait as long as told, else back off exponentially with full jitter."""
    # A date that is past, or zero, tells nothing: to ask again at once would use up the tries.
    if told := _told_seconds(state):
        return told
    error = state.outcome and state.outcome.exception()
    # A limit counted by the minute takes longer to pass than a hiccup.
    scale = 1.0 if isinstance(error, HotjarRateLimitError) else 0.25
    return random.uniform(0, scale * 2**state.attempt_number)  # noqa: S311 - no secret in it


def _told_seconds(state: tenacity.RetryCallState) -> float | None:
    error = state.outcome and state.outcome.exception()
    return error.retry_after_seconds if isinstance(error, HotjarStatusError) else None
