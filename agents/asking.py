"""Asking an agent through the gateway, as the command line and the demo do."""

import json
from collections.abc import Callable
from typing import Any

from sluice.errors import UpstreamFailed
from sluice.gateway_client import GatewayClient, error_of


def ask_streaming(
    gateway: GatewayClient,
    agent: str,
    question: str,
    thread: str = "",
    *,
    show: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Ask, and pass on each step as it comes.

    Returns:
        `{"answer", "metadata", "request_id"}`.

    Raises:
        SluiceError: what the gateway or the agent answered instead.
    """
    body: dict[str, Any] = {
        "model": f"agent/{agent}",
        "messages": [{"role": "user", "content": question}],
        "stream": True,
    }
    if thread:
        body["metadata"] = {"thread_id": thread}
    answer, metadata = "", dict[str, Any]()
    with gateway.http.stream("POST", "/chat/completions", json=body) as response:
        if response.is_error:
            response.read()
            raise error_of(response)
        for line in response.iter_lines():
            if not line.startswith("data:") or line == "data: [DONE]":
                continue
            event = json.loads(line[5:])
            if "error" in event:
                raise UpstreamFailed(event["error"]["message"], code=event["error"].get("code"))
            answer += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
            told = event.get("metadata", {})
            if "step" in told:
                show(told["step"])
            else:
                metadata |= told
        return {"answer": answer, "metadata": metadata, "request_id": response.headers.get("x-request-id", "")}


def describe_step(step: dict[str, Any]) -> str:
    """One line about a decision or a call."""
    if "called" in step:
        return f"  called {step['called']}: {step['state']} ({step['id']})"
    return f"  {step['decided']}: {step['as']}, {step['how']}"
