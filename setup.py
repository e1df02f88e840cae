"""Let tools that still look for a setup.py install the project; pyproject.toml says everything."""

from setuptools import setup

setup()
