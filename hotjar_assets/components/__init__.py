"""Dagster components: what a YAML file of a project may name as its `type`."""

from hotjar_assets.components.rest_streams import RestStreams

__all__ = ["RestStreams"]
