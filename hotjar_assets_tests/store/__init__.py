"""Tests of the walks, the spool, the tables and the I/O manager: all that lies behind the API."""
