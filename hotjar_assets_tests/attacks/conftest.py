"""The sandbox and the database file of `store/`."""

from hotjar_assets_tests.store.conftest import (  # noqa: F401 - fixtures
    account,
    make_client,
    path,
    server,
    store,
)
