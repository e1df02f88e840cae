"""The Hotjar API in plain Python: no Dagster, no pandas, no DuckDB.

Each room knows those before it: `auth` (tokens), `pacing` (when a request may go), `transport`
(status codes, retries), `pagination` (cursors), `records` (the objects), `client` (the endpoints).
"""
