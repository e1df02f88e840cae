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
from contextlib import contextmanager

_CTRL_C = {signal.SIGINT}


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


@contextmanager
def watched() -> Iterator[Interrupts]:
    """Watch for signals: the first raises an exception in the main thread, another one ends it all.

    The exception is Dagster's while Dagster executes a run, else KeyboardInterrupt. To be entered
    before anything is imported that starts threads: one that does not block Ctrl-C could get it.
    """
    interrupts = Interrupts()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield interrupts
        return
    main, ended = threading.get_ident(), threading.Event()

    def watch() -> None:
        while True:
            signal.sigwait(_CTRL_C)
            if ended.is_set():
                return
            if interrupts.by_ctrl_c:
                os._exit(interrupts.exit_code)
            interrupts.by_ctrl_c = True
            interrupts.at_first()
            signal.pthread_kill(main, signal.SIGTERM)

    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    thread = threading.Thread(target=watch, name="hotjar-interrupts", daemon=True)
    thread.start()
    try:
        yield interrupts
    finally:
        ended.set()
        signal.pthread_kill(thread.ident or 0, signal.SIGINT)
        thread.join()
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
