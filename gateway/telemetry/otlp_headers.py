"""The headers for a collector, from the variable that the settings name."""

import os
import re
from collections.abc import Mapping

from sluice.errors import ConfigurationError
from sluice.settings import TelemetrySettings

_HEADER = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)\s*")


def otlp_headers(settings: TelemetrySettings, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What goes with every batch: `name=value,name=value` of `headers_env`.

    Raises:
        ConfigurationError: the variable is not set, or holds something else; its content is never shown.
    """
    variable = settings.headers_env
    if variable is None:
        return {}
    parsed = [_HEADER.fullmatch(part) for part in environment.get(variable, "").split(",")]
    headers = {found[1]: found[2] for found in parsed if found}
    if len(headers) < len(parsed):
        raise ConfigurationError(
            f"telemetry.headers_env: the variable {variable} holds no headers.", fix="Write name=value,name=value."
        )
    return headers
