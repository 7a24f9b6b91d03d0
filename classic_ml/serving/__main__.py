"""Serves predictions with Ray Serve, in a process of its own with Ray's below it."""

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from classic_ml.ray_session import ray_session
from classic_ml.serving.replica import build_app
from sluice import logs
from sluice.database import migrate
from sluice.errors import ConfigurationError, SluiceError
from sluice.offline import switch_off
from sluice.settings_files import load_settings

if TYPE_CHECKING:
    from ray import serve

logger = logging.getLogger("classic_ml.serving")
SERVICE = "predictions"
GRACE_SECONDS = 5
"""For answers still open when the process ends."""


def main() -> None:
    """Start Ray and the application, and run until SIGTERM."""
    switch_off()
    try:
        _serve()
    except SluiceError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)


def _serve() -> None:
    settings = load_settings()
    logs.configure(settings.platform.log_level)
    if SERVICE not in settings.services:
        raise ConfigurationError(f"The settings name no service '{SERVICE}'.", fix="Add it to configs/services.yaml.")
    port = settings.services[SERVICE].port
    migrate(settings.database_url)
    with ray_session(settings.home, SERVICE, cpus=1, logs=True):
        from ray import serve

        stop = threading.Event()
        # After Ray's own handlers, which would end the process in the middle of its clean-up.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _signal, _frame: stop.set())
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(_deployment().bind(), name=SERVICE, route_prefix="/")
        logger.info("%s is ready on http://127.0.0.1:%d", SERVICE, port)
        stop.wait()
        serve.shutdown()


def _deployment() -> "serve.Deployment":
    from ray import serve
    from ray.serve.schema import LoggingConfig

    # One replica, and a share of a core: what a prediction costs is HTTP, not the model.
    return serve.deployment(
        name="Predictions",
        num_replicas=1,
        ray_actor_options={"num_cpus": 0.1},
        max_ongoing_requests=64,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=GRACE_SECONDS,
        logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING"),
    )(serve.ingress(build_app)())


if __name__ == "__main__":
    main()
