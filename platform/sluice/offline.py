"""The switches that keep libraries from fetching files and sending telemetry.

Every entry point calls `switch_off()` before it imports anything heavy: most libraries read these variables once, at
import. Two libraries need more than a variable, where they are used: guardrails-ai has no switch in the environment,
and a hub model is fetched by a process that sets `HF_HUB_OFFLINE=0` for itself.
"""

import os
from collections.abc import MutableMapping
from typing import Final

OFFLINE_ENVIRONMENT: Final[dict[str, str]] = {
    # One convention for all, but each library wants its own spelling of yes: vLLM takes only "1", MLflow only "true".
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # Without it vLLM finds its own address by opening a socket towards 8.8.8.8.
    "VLLM_HOST_IP": "127.0.0.1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "RAGAS_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
}


def switch_off(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set each switch that the user has not set, in this process and so in its children."""
    for name, value in OFFLINE_ENVIRONMENT.items():
        environment.setdefault(name, value)
