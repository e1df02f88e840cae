"""Tests of the sandbox, through real HTTP."""
