"""Where the command `hotjar-assets` begins."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C before it is loaded ends the process without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hotjar_assets.cli import main as run  # noqa: PLC0415 - takes half a second

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
