"""Hotjar survey responses as Dagster assets in DuckDB."""
