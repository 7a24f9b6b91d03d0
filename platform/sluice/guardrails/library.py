"""guardrails-ai, imported so that it fetches nothing and tells nobody."""

import os
import sys
from typing import Any, cast

from sluice.errors import MissingRequirement


def import_quietly() -> None:
    """Import the library (seconds); everything that uses it comes after this.

    Raises:
        MissingRequirement: it is not installed.
    """
    # It downloads a tokenizer's data at import where NLTK is there; nothing here splits sentences.
    hidden = sys.modules.get("nltk")
    sys.modules["nltk"] = None  # pyright: ignore[reportArgumentType]
    # Its other way looks for an event loop of its own in every thread.
    os.environ.setdefault("GUARDRAILS_RUN_SYNC", "true")
    try:
        import guardrails  # pyright: ignore[reportUnusedImport] # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            f"A guardrail policy needs guardrails-ai ({error}).", fix="Run: pip install 'sluice[guardrails]'"
        ) from None
    finally:
        if hidden is None:
            del sys.modules["nltk"]
        else:
            sys.modules["nltk"] = hidden
    _switch_off()


def build_guard(validators: list[Any]) -> Any:
    """A guard that runs these validators in this order, keeps no text and sends nothing."""
    from guardrails import Guard

    guard = cast("Any", Guard)(history_max_length=1).use(*validators)
    # A new guard reads the user's file of settings anew, which switches telemetry on where there is none.
    guard.configure(allow_metrics_collection=False)
    _switch_off()
    return guard


def _switch_off() -> None:
    from guardrails.settings import settings
    from guardrails.utils.hub_telemetry_utils import HubTelemetry

    settings.rc.enable_metrics = False
    settings.disable_tracing = True
    # One object for the whole process, which every traced call asks.
    HubTelemetry(enabled=False)._enabled = False  # pyright: ignore[reportPrivateUsage]
