"""The JSON Schema by which editors complete and check the YAML of a source.

    # yaml-language-server: $schema=…/hotjar_assets/streams/source.schema.json

It knows the words; whether they fit together is `checks`'s, when the file is loaded.
"""

import json
from pathlib import Path

from hotjar_assets.streams.spec import Source

SCHEMA_FILE = Path(__file__).with_name("source.schema.json")


def source_schema() -> str:
    """Return the schema, as `SCHEMA_FILE` holds it."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Source.model_json_schema(by_alias=True), indent=2) + "\n"
