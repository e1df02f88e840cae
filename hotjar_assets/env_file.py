"""`.env` is read as it is written: no `${NAME}` in it is replaced.

Dagster reads `.env` itself, before it loads our definitions, and replaces `${NAME}` even in single
quotes, which changes a secret that happens to hold it. `restore` undoes that.
"""

import os
import re
from pathlib import Path

from hotjar_assets.config import ENVIRONMENT_PREFIX

_REFERENCE = re.compile(r"\$\{[^}]*\}")


def load(path: Path) -> None:
    """Put what a file says into the environment, where it is not set there already.

    Raises:
        UnicodeDecodeError: The file is not UTF-8 text.
    """
    # A process of Dagster that has no .env does without.
    from dotenv import load_dotenv  # noqa: PLC0415

    load_dotenv(path, interpolate=False)


def restore(prefix: str = ENVIRONMENT_PREFIX) -> None:
    """Give the variables of `.env` here the values that are written there.

    Only those change whose value may be what Dagster made of it: one that is set to something else
    outside of the file stays.

    Args:
        prefix: How the names of the variables begin.
    """
    path = Path.cwd() / ".env"
    if not path.is_file():
        return
    from dotenv import dotenv_values  # noqa: PLC0415 - see `load`

    for name, written in dotenv_values(path, interpolate=False).items():
        if written is None or not name.startswith(prefix) or name not in os.environ:
            continue
        parts = _REFERENCE.split(written)
        if len(parts) > 1 and re.fullmatch(
            ".*".join(map(re.escape, parts)), os.environ[name], re.DOTALL
        ):
            os.environ[name] = written
