"""Hotjar survey responses as Dagster assets in DuckDB."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotjar_assets.components.rest_streams import RestStreams
    from hotjar_assets.definitions import build_defs

__all__ = ["RestStreams", "build_defs"]

_MODULES = {
    "RestStreams": "hotjar_assets.components.rest_streams",
    "build_defs": "hotjar_assets.definitions",
}


def __getattr__(name: str) -> Any:
    """Import the two names when they are asked for: Dagster takes a second to load."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the component too: Dagster looks here for what a YAML file may name."""
    return sorted({*globals(), *__all__})
