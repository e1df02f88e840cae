"""The Hotjar API in plain Python: no Dagster, no pandas, no DuckDB.

Each room knows those before it: `auth` (tokens), `pacing` (when a request may go), `transport`
(status codes, retries), `pagination` (cursors), `records` (the objects), `source` (what a sync
reads), `client` (the endpoints); `exports` (the wide CSV), `insights` (where it comes from).
"""
