"""What this package uses of Dagster although Dagster calls it beta, without the warning.

The warning would appear in every project that merges `build_defs()`, where a reader of the log
cannot act on it: `pyproject.toml` names the versions of Dagster that the suite was run against.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg


@contextmanager
def without_beta_warnings() -> Iterator[None]:
    """Leave out Dagster's warnings of beta features."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


asset = without_beta_warnings()(dg.asset)
"""Dagster's `asset`, whose parameter `backfill_policy` is beta: one run covers many partitions."""
