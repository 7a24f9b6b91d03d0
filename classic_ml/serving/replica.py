"""What Ray Serve runs in each replica."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette


def build_app() -> "Starlette":
    """The application from the settings. Only the replica loads what it needs, not the process that starts it."""
    from classic_ml.serving.app import create_app
    from sluice.database import connect
    from sluice.offline import switch_off
    from sluice.settings_files import load_settings

    switch_off()
    settings = load_settings()
    home = settings.home
    return create_app(connect(settings.database_url), home, settings.gateway.keys)
