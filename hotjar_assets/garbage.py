"""Where Python looks for garbage: not in what was imported, which stays.

After importing Dagster, the three searches that follow go through all of it, which took 0.5 s of
processor time of a sync of 100,000 responses.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage() -> Iterator[None]:
    """Let nobody look for garbage among what is imported: there is none, and it takes 0.4 s."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def kept() -> Iterator[None]:
    """Let nobody look for garbage among what is there now."""
    gc.freeze()
    try:
        yield
    finally:
        # What is frozen when the process ends, DuckDB would report as leaked.
        gc.unfreeze()
