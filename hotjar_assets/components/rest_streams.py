"""`hotjar_assets.RestStreams`: a source of streams in the `defs.yaml` of any Dagster project.

    type: hotjar_assets.RestStreams
    attributes:
      name: acme
      base_url: https://api.example.com/v1
      streams:
        - {name: orders, path: /orders, primary_key: [id]}

The attributes are those of a file in the folder `streams`. They are taken as they stand: `{{ … }}`
in them is a parameter of the source and no variable of Dagster's.
"""

from functools import cache

import dagster as dg
from pydantic import BaseModel

from hotjar_assets.defs.streams import stream_defs
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.streams.spec import Source

IO_MANAGER_KEY = "hotjar_streams_io_manager"


class RestStreams(dg.Component):
    """An API described in YAML: each stream is an asset and a DuckDB table."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return what the attributes are: a source."""
        return Source

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "RestStreams":  # noqa: ARG003
        """Take the attributes as they stand: Dagster would replace `{{ … }}` in them."""
        assert isinstance(attributes, Source)  # noqa: S101 - Dagster validated them
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        """Build the assets, job and sensors, and what stores them in `HOTJAR_DATABASE`."""
        return dg.Definitions.merge(
            stream_defs(self.source, io_manager_key=IO_MANAGER_KEY),
            dg.Definitions(resources={IO_MANAGER_KEY: _io_manager()}),
        )


@cache
def _io_manager() -> HotjarDuckDBIOManager:
    # One object for all components of a project: Dagster refuses two of the same key.
    return HotjarDuckDBIOManager.from_environment()
