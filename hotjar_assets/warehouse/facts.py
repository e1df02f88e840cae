"""What a file notes about itself in `hotjar.meta`: its release, account, source and privacy.

A file of another account, source, privacy or release is refused before anything is written.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import duckdb

from hotjar_assets.config import PiiMode, Source
from hotjar_assets.errors import HotjarStoreError
from hotjar_assets.privacy import RULES, Privacy
from hotjar_assets.schema import (
    FORGOTTEN,
    META,
    SCHEMA_VERSION,
    SURVEY_RESPONSES,
    SURVEYS,
    UNSETTLED,
)
from hotjar_assets.warehouse.database import (
    create_table,
    literal,
    qualified,
    rows_if_any,
)
from hotjar_assets.warehouse.personal import has_rows, rewrite_personal


def prepare(
    connection: duckdb.DuckDBPyConnection, path: Path, account: str | None, source: str | None
) -> None:
    """Make or extend the tables, and note what is new.

    Raises:
        HotjarStoreError: The file is of another account, source or newer release.
    """
    for table in (META, SURVEYS, SURVEY_RESPONSES, FORGOTTEN, UNSETTLED):
        create_table(connection, table)
    known = _noted(connection)
    if int(known.get("schema_version") or SCHEMA_VERSION) > int(SCHEMA_VERSION):
        raise HotjarStoreError(f"{path} was written by a newer release; upgrade hotjar-assets")
    if account and known.get("account", account) != account:
        raise HotjarStoreError(
            f"{path} holds the data of a {known['account']} account and these answers come from a "
            f"{account} one; set HOTJAR_DATABASE to another file (nothing was changed)"
        )
    # A file that notes its account and no source is older than the other sources.
    known_source = known.get("source", Source.API.value if "account" in known else source)
    if source and known_source != source:
        raise HotjarStoreError(
            f"{path} was filled with HOTJAR_SOURCE={known_source} and these rows are of {source}, "
            "which numbers responses in its own way, so that each would stand there twice; set "
            "HOTJAR_DATABASE to another file (nothing was changed)"
        )
    facts = {
        "schema_version": SCHEMA_VERSION,
        "account": account,
        "source": source,
        "file_id": uuid4().hex,
    }
    _note(connection, {name: value for name, value in facts.items() if value and name not in known})


def file_id(connection: duckdb.DuckDBPyConnection | None) -> str | None:
    """Return the id that the file was given when it was made, if it has one."""
    sql = "SELECT value FROM {table} WHERE name = 'file_id'"
    return next((value for (value,) in rows_if_any(connection, META, sql)), None)


def of_privacy(privacy: Privacy) -> dict[str, str]:
    """Return what is noted of a privacy mode, its key, and which values it regards as personal."""
    noted = {"pii": privacy.mode.value, "pii_key_fingerprint": privacy.fingerprint}
    return noted if privacy.mode is PiiMode.KEEP else {**noted, "pii_rules": RULES}


def adopt(
    connection: duckdb.DuckDBPyConnection, path: Path, privacy: Privacy, *, rewrite: bool
) -> None:
    """Make sure that the file is of this privacy mode and key; see `Warehouse.adopt`."""
    wanted, noted = of_privacy(privacy), _noted(connection)
    if noted.items() >= wanted.items():
        return
    facts = {"pii": PiiMode.KEEP.value, "pii_key_fingerprint": "", **noted}
    is_same = {**facts, "pii_rules": RULES}.items() >= wanted.items()
    is_new = "pii" not in noted and not has_rows(connection)
    if not (is_same or is_new or rewrite):
        raise HotjarStoreError(
            f"{path} was written with HOTJAR_PII={facts['pii']} and the "
            f"settings say {privacy.mode.value}, or its key is another; rewrite the file "
            "with reconcile_job (hotjar-assets sync --full), or restore the settings"
        )
    # Hashes under another key join with nothing; they come back with the rows.
    was_hashed = facts["pii"] == PiiMode.HASH.value
    drops = was_hashed and privacy.mode is PiiMode.HASH and not is_same
    rewrite_personal(connection, Privacy(PiiMode.DROP) if drops else privacy)
    if not is_same:
        # Until each survey was read whole, its rows are partly of the old mode.
        unsettled, responses = (
            qualified(connection, table.name) for table in (UNSETTLED, SURVEY_RESPONSES)
        )
        connection.execute(
            f"INSERT INTO {unsettled} SELECT DISTINCT survey_id, {literal(datetime.now(UTC))} "
            f"FROM {responses}"
        )
    meta = qualified(connection, META.name)
    connection.execute(f"DELETE FROM {meta} WHERE name LIKE 'pii%'")
    _note(connection, wanted)


def refuse_change(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    known_id: str | None,
    privacy: Mapping[str, str],
) -> None:
    """Refuse a file that is not what it was when a sync began.

    Args:
        connection: The file as it is now.
        path: Where it is.
        known_id: The id it had; None if it had none.
        privacy: What it noted of its privacy mode.

    Raises:
        HotjarStoreError: It is another file, or of another mode.
    """
    noted = _noted(connection)
    if known_id not in {None, noted.get("file_id")}:
        raise HotjarStoreError(
            f"{path} is not the file it was when the sync began, and what was read "
            "rests on that one; sync again (nothing was changed)"
        )
    if not noted.items() >= privacy.items():
        raise HotjarStoreError(
            f"{path} was rewritten for another HOTJAR_PII or key while the sync was "
            "running; restart with the same settings (nothing was changed)"
        )


def _noted(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    meta = qualified(connection, META.name)
    return dict(connection.execute(f"SELECT name, value FROM {meta}").fetchall())


def _note(connection: duckdb.DuckDBPyConnection, facts: Mapping[str, str]) -> None:
    meta = qualified(connection, META.name)
    for fact in facts.items():
        connection.execute(f"INSERT INTO {meta} VALUES ({', '.join(map(literal, fact))})")
