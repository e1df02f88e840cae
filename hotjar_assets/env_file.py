"""`.env` is read as it is written: no `${NAME}` in it is replaced.

Dagster reads `.env` itself, before it loads our definitions, and replaces `${NAME}` even in single
quotes, which changes a secret that happens to hold it. `restore` undoes that. `warn_of_unknown`
names the variables that are misspelled, there or in the environment.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from hotjar_assets.config import ENVIRONMENT_PREFIX, streams_folder, unknown_variables
from hotjar_assets.printable import get_logger

logger = get_logger(__name__)

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


def warn_of_unknown(environ: Mapping[str, str] = os.environ) -> None:
    """Log one warning of the variables that look like settings and are none.

    Streams may name variables of their own that begin alike.
    """
    unknown = unknown_variables(environ)
    if unknown:
        text = "\n".join(_texts(streams_folder(environ)))
        unknown = {name: near for name, near in unknown.items() if not _is_in_streams(name, text)}
    if unknown:
        shown = [
            f"{name} (did you mean {near}?)" if near else name for name, near in unknown.items()
        ]
        logger.warning(
            "not %s of hotjar-assets, so without effect: %s; the README lists them all",
            "a setting" if len(shown) == 1 else "settings",
            ", ".join(shown),
        )


def _is_in_streams(variable: str, text: str) -> bool:
    """Tell whether streams name a variable, whole or as a parameter of the source `hotjar`."""
    name = re.escape(variable.removeprefix(ENVIRONMENT_PREFIX))
    return re.search(rf"\b(?:{ENVIRONMENT_PREFIX})?{name}\b", text, re.IGNORECASE) is not None


def _texts(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.y*ml")):
        # A file that cannot be read is told of where it is loaded.
        with suppress(OSError):
            yield path.read_text(encoding="utf-8", errors="replace")
