r"""Text from outside as it may be shown: one line, without characters that command a terminal.

Names, ids, cells, file names and error texts come from an API, a respondent or a file. Everything
that is printed, logged or handed to Dagster passes through here: `hotjar_assets.cli.output` for the
terminal, `get_logger` for log lines, `HotjarError` for messages.

A character that would move the cursor, hide, or reverse the text around it becomes its escape:
ESC is shown as `\x1b`, a line break as `\n`, a right-to-left override as `\u202e`.
"""

import json
import logging
import re
from typing import Any

MAX_CHARACTERS = 2_000
"""Length of one shown value; what is longer ends in `…` and the number of characters."""

_JOINERS = "\u200c\u200d"
_SUSPECT = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u061c\u180e\u200b-\u200f"  # invisible, joiners, marks of direction
    "\u2028-\u202e\u2060-\u206f"  # line separators, overrides, isolates, invisible operators
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers, which are blank
    "\ud800-\udfff\ufeff\ufff0-\ufffb\ufffe\uffff"  # surrogates, byte order mark, noncharacters
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # layout of some scripts
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tag characters
    "]"
)


def printable(value: object, *, max_characters: int = MAX_CHARACTERS) -> str:
    """Return a value as one line of text that is safe to show.

    Args:
        value: Any value; text is taken as it is, all else as `str` gives it.
        max_characters: How long the text may be.
    """
    text = str(value)
    shown = _SUSPECT.sub(_escape, text[:max_characters])
    if len(text) <= max_characters >= len(shown):
        return shown
    end = f"… ({len(text)} characters)"
    return shown[: max_characters - len(end)] + end


def is_printable(text: str) -> bool:
    """Tell whether a text can be shown as it is."""
    return _SUSPECT.sub(_escape, text) == text


def printable_lines(text: str) -> str:
    """Return a text of our own in which line breaks are meant, each line safe to show."""
    return "\n".join(printable(line) for line in text.split("\n"))


def printable_json(value: Any) -> str:
    """Return a value as one line of JSON that reads back the same and is safe to show."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return _SUSPECT.sub(
        lambda found: found[0] if _is_joiner(found) else json.dumps(found[0])[1:-1], text
    )


def get_logger(name: str) -> logging.Logger:
    """Return a logger of this package; what its lines quote is made safe to show."""
    logger = logging.getLogger(name)
    if not any(isinstance(each, _PrintableArguments) for each in logger.filters):
        logger.addFilter(_PrintableArguments())
    return logger


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun, such as `1 survey` or `1,200 surveys`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def labelled(key: str, name: str | None) -> str:
    """Return an id with its name, such as `1204501 (Checkout NPS)`."""
    return f"{printable(key)} ({printable(name)})" if name else printable(key)


def make_printable(error: BaseException) -> None:
    """Make the texts of an exception, and of those it was raised from, safe to show.

    Python, Dagster and logging write the whole chain, and the messages of other packages quote what
    they were given. Only characters that cannot be shown are replaced.
    """
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions
        text = str(each)
        if printable_lines(text) != text:
            each.args = (printable_lines(text),)
            if isinstance(each, OSError) and each.strerror:
                each.strerror = printable(each.strerror)


class PrintableFormatter(logging.Formatter):
    """Formats the lines of any logger, another package's included, so that they are safe to show.

    The text of a traceback keeps its line breaks.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the traceback."""
        return printable_lines(super().formatException(ei))


class _PrintableArguments(logging.Filter):
    """Makes what a log line quotes safe to show; numbers stay, for formats such as `%d`."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_argument, record.args))
        return True


def _argument(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else printable(value)


def _escape(found: re.Match[str]) -> str:
    if _is_joiner(found):
        return found[0]
    return found[0].encode("unicode_escape", "surrogatepass").decode()


def _is_joiner(found: re.Match[str]) -> bool:
    """Tell whether a joiner stands where emoji and some scripts need it, not between ASCII."""
    if found[0] not in _JOINERS:
        return False
    start, end = found.span()
    before, after = found.string[max(start - 1, 0) : start], found.string[end : end + 1]
    return not before.isascii() and not after.isascii() and before not in _JOINERS
