"""Dagster's own UI on this project, driven by a real Chromium."""
