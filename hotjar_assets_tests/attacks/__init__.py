"""Attacks, grouped by who attacks."""
