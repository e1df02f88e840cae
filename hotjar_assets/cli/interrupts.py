"""Ctrl-C and SIGTERM while a command works: one line, and the exit code 130 or 143.

Dagster takes both signals for itself while it executes a run, and raises an exception in the main
thread. Three things are left to do here: ask for the end of the run before that, so that it counts
as canceled and not as failed; leave at once at a second Ctrl-C; and keep Ctrl-C, which a terminal
sends to a whole group of processes, from the programs with which Dagster captures the output of a
run: each would answer with a traceback. A child process inherits which signals are blocked, so
Ctrl-C is blocked everywhere, and a thread waits for it and interrupts the main thread by SIGTERM.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from hotjar_assets.printable import get_logger

logger = get_logger(__name__)

_CTRL_C = {signal.SIGINT}
_ANNOUNCE_SECONDS = 2


class Interrupts:
    """What interrupted a command.

    Attributes:
        by_ctrl_c: Whether Ctrl-C was pressed.
        at_first: Called from another thread at the first Ctrl-C, before the exception is raised.
    """

    def __init__(self) -> None:
        self.by_ctrl_c = False
        self.at_first: Callable[[], None] = lambda: None

    @property
    def exit_code(self) -> int:
        """The exit code that shells give a program which the signal ended."""
        return 128 + (signal.SIGINT if self.by_ctrl_c else signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended a command, before or after what it can settle itself.

    Attributes:
        exit_code: That of the signal.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


@contextmanager
def watched() -> Iterator[Interrupts]:
    """Watch for signals: the first raises an exception in the main thread, another one ends it all.

    The exception is Dagster's while Dagster executes a run, else KeyboardInterrupt. To be entered
    before anything is imported that starts threads: one that does not block Ctrl-C could get it.

    Raises:
        Interrupted: A signal came, and nothing inside handled it.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    # `nohup`, and a script that starts a command in the background, have Ctrl-C ignored.
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with nullcontext() if is_ignored else _ctrl_c_watched(interrupts):
            yield interrupts
    except KeyboardInterrupt as error:
        raise Interrupted(interrupts.exit_code) from error
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _ctrl_c_watched(interrupts: Interrupts) -> Iterator[None]:
    main, ended = threading.get_ident(), threading.Event()

    def watch() -> None:
        while True:
            signal.sigwait(_CTRL_C)
            if ended.is_set():
                return
            if interrupts.by_ctrl_c:
                os._exit(interrupts.exit_code)
            interrupts.by_ctrl_c = True
            # Dagster's storage may be full, or not answer: that must not keep the command alive.
            announcing = threading.Thread(target=announce, daemon=True)
            announcing.start()
            announcing.join(_ANNOUNCE_SECONDS)
            signal.pthread_kill(main, signal.SIGTERM)

    def announce() -> None:
        try:
            interrupts.at_first()
        except Exception as error:  # noqa: BLE001 - any: the run then counts as failed
            logger.warning("the run cannot be marked as being canceled: %s", error)

    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
    thread = threading.Thread(target=watch, name="hotjar-interrupts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        signal.pthread_kill(thread.ident or 0, signal.SIGINT)
        thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
