"""Hotjar survey responses as Dagster assets in DuckDB."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotjar_assets.components.rest_streams import RestStreams

__all__ = ["RestStreams"]


def __getattr__(name: str) -> Any:
    """Import the component when it is asked for: Dagster takes a second to load."""
    if name in __all__:
        from hotjar_assets.components.rest_streams import RestStreams  # noqa: PLC0415

        return RestStreams
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the component too: Dagster looks here for what a YAML file may name."""
    return sorted({*globals(), *__all__})
