"""The dbt package, its run in Dagster, and every number of it."""
