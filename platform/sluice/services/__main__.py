"""`python -m sluice.services`: the services process, in the foreground, on loopback."""

import signal
import sys
from types import FrameType

from sluice.offline import switch_off

switch_off()

import uvicorn  # noqa: E402 - libraries read their switches when imported

from sluice.errors import ConfigurationError, SluiceError  # noqa: E402
from sluice.logs import configure  # noqa: E402
from sluice.services.app import create_services  # noqa: E402
from sluice.settings import Settings  # noqa: E402
from sluice.settings_files import load_settings  # noqa: E402

DRAIN_SECONDS = 15


def main() -> None:
    """Read the settings and serve until stopped."""
    # uvicorn hands the signal on to this handler once it has drained: a stop on request is no failure.
    signal.signal(signal.SIGTERM, _exit)
    try:
        settings = load_settings()
        configure(settings.platform.log_level)
        uvicorn.run(
            create_services(settings),
            host="127.0.0.1",
            port=_port(settings),
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    except SluiceError as error:
        sys.exit(f"Error: {error}")


def _port(settings: Settings) -> int:
    for service in settings.services.values():
        if service.module == "sluice.services":
            return service.port
    raise ConfigurationError("No service has the module sluice.services.", fix="See configs/services.yaml.")


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
