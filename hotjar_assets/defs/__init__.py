"""Dagster's objects, thin: what is stored is in `io_managers`, what is read in `sync`."""
