"""`python -m sluice.processes`: the supervisor of the deployment that the settings describe."""

import asyncio
import logging
import sys

from sluice.errors import SluiceError
from sluice.processes.plan import plan
from sluice.processes.state import supervisor_lock
from sluice.processes.supervisor import Supervisor
from sluice.settings_files import load_settings


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        home = load_settings().home
        with supervisor_lock(home):
            asyncio.run(Supervisor(home, lambda: plan(load_settings(), home)).run())
    except SluiceError as error:
        logging.error("%s", error)
        sys.exit(error.exit_code)


main()
