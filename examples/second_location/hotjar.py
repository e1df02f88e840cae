"""The syncs alone: the other code location has the models, in a dbt project of its own."""

from hotjar_assets import build_defs

defs = build_defs(models=False)
