"""Tests of hotjar_assets; the folders mirror it."""
