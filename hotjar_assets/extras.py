"""What `pip install 'hotjar-assets[…]'` adds: a sync needs none of it."""

from importlib.util import find_spec

from hotjar_assets.errors import HotjarConfigError

NO_PICTURES = "pictures need matplotlib: pip install 'hotjar-assets[report]'"
"""What the log of a run says where there are none."""

NO_MODELS = "the dbt models are not made: pip install 'hotjar-assets[dbt]'"
"""What a sync says that committed rows, where there are no models."""


def can_draw() -> bool:
    """Tell whether the extra `report` is installed, without importing any of it."""
    return find_spec("matplotlib") is not None


def require_report() -> None:
    """Refuse a report where the extra `report` is not installed.

    Raises:
        HotjarConfigError: It says how to install it.
    """
    if not can_draw():
        problem = "it is drawn with matplotlib, which is not installed"
        raise HotjarConfigError("report", f"{problem}; run pip install 'hotjar-assets[report]'")
