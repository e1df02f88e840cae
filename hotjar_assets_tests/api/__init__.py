"""Tests of the API client: what it sends, what it makes of the answers, and when it gives up."""
