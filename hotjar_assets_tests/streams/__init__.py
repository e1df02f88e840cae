"""Streams in YAML: loading, reading, trying."""
