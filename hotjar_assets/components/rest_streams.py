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

import re
from functools import cache
from typing import Any

import dagster as dg
from pydantic import BaseModel, model_validator

from hotjar_assets.defs.streams import stream_defs
from hotjar_assets.io_managers import HotjarDuckDBIOManager
from hotjar_assets.streams.checks import mistakes
from hotjar_assets.streams.loading import mistake_at
from hotjar_assets.streams.spec import Source

IO_MANAGER_KEY = "hotjar_streams_io_manager"


class Attributes(Source):
    """A source whose parts are fitted together when it is loaded: the file is known only then."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Attributes":
        return self


class SampleScaffolder(dg.Scaffolder):
    """Writes a source to begin with."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write `defs.yaml`."""
        name = re.sub(r"\W", "_", request.target_path.name.lower(), flags=re.ASCII)
        dg.scaffold_component(
            request,
            {
                "name": name,
                "base_url": "https://api.example.com/v1",
                "authentication": {
                    "type": "api_key",
                    "name": "X-Api-Key",
                    "key_env": f"{name}_key".upper(),
                },
                "streams": [
                    {
                        "name": "orders",
                        "path": "/orders",
                        "records": "$.data[*]",
                        "primary_key": ["id"],
                        "pagination": {"type": "page", "parameter": "page"},
                    }
                ],
            },
        )


@dg.scaffold_with(SampleScaffolder)
class RestStreams(dg.Component):
    """An API described in YAML: each stream is an asset and a DuckDB table."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return what the attributes are: a source."""
        return Attributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "RestStreams":
        """Take the attributes as they stand: Dagster would replace `{{ … }}` in them.

        Raises:
            HotjarSourceError: The first thing that does not fit; names file, line and field.
        """
        assert isinstance(attributes, Source)  # noqa: S101 - Dagster validated them
        for place, problem in mistakes(attributes):
            raise mistake_at(context.path / "defs.yaml", attributes.name, place, problem)
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
