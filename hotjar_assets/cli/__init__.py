"""The command line, `hotjar-assets`: a module here for each group of commands.

`sync` (and `import`), `surveys`, `report`, `account` (`check`, `forget`), `sandbox` (and `demo`)
and `streams` (and `infer-schema`) hold commands; `common`, `output`, `runs`, `interrupts` and
`tables` what several of them need.

Exit codes: 0 all good; 1 something failed, with a line for each on stderr; 2 bad settings or usage,
and then no request was made; 130 or 143 Ctrl-C or SIGTERM. Dagster is imported only once the
settings are good.
"""

import logging
import sys
from pathlib import Path

import click

from hotjar_assets import env_file
from hotjar_assets.cli import account, report, sandbox, streams, surveys, sync
from hotjar_assets.cli.common import BAD_USAGE
from hotjar_assets.cli.output import Program, echo
from hotjar_assets.printable import PrintableFormatter
from hotjar_assets.private_files import owner_only


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hotjar-assets")
def main() -> None:
    """Hotjar survey responses in your own DuckDB, through Dagster."""
    try:
        env_file.load(Path.cwd() / ".env")
    except UnicodeDecodeError:
        echo(".env: is not UTF-8 text; save it as that", err=True)
        sys.exit(BAD_USAGE)
    # Whatever a command makes is its user's alone, with what Dagster and DuckDB make.
    click.get_current_context().with_resource(owner_only())
    # On the package's own logger: Dagster, which records these lines in a run, rewrites them for
    # every handler after its own, and the figures of each survey are for its log alone.
    shown = logging.StreamHandler()
    shown.setFormatter(PrintableFormatter("%(levelname)s: %(message)s"))
    shown.setLevel(logging.WARNING)
    if logging.lastResort:
        # What other packages warn of goes to stderr by this handler.
        logging.lastResort.setFormatter(PrintableFormatter("%(message)s"))
    package = logging.getLogger("hotjar_assets")
    package.addHandler(shown)
    click.get_current_context().call_on_close(lambda: package.removeHandler(shown))
    env_file.warn_of_unknown()


for command in (
    sync.sync,
    sync.import_file,
    surveys.surveys,
    report.report,
    account.check,
    account.forget,
    sandbox.sandbox,
    sandbox.demo,
    streams.streams,
    streams.infer,
):
    main.add_command(command)
