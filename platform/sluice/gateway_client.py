"""How the platform's own parts call the gateway: over HTTP with a key, like everybody else, so that all is metered."""

import os
from collections.abc import Mapping
from typing import Any, cast

import httpx

from sluice.errors import MissingRequirement, NotAuthenticated, SluiceError, UpstreamFailed, UpstreamRefused
from sluice.processes.plan import gateway_url
from sluice.settings import Settings

PARENT_HEADER = "x-sluice-parent"
"""The id of the request on whose behalf a call is made; it stands in the usage record and so in the trace."""


def gateway_access(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The base URL (ending in /v1) and key of this machine's user: from the environment, else from `dev.env`.

    A key in the environment that is not Sluice's own is meant for somebody else and is never sent.

    Raises:
        MissingRequirement: there is no key.
    """
    from sluice.cli.dev_key import read_key
    from sluice.identity.keys import PREFIX

    named = environment.get("OPENAI_API_KEY", "")
    key = named if named.startswith(PREFIX) else read_key(settings.home)
    if not key:
        raise MissingRequirement("There is no API key.", fix="Run: sluice up")
    return f"{gateway_url(settings.gateway)}/v1", key


class GatewayClient:
    """A client of the gateway that raises the platform's own errors.

    Args:
        base_url: ends in /v1.
        parent: the id of the request on whose behalf it calls.
        timeout: seconds for one whole call; a busy model queues.
    """

    def __init__(self, base_url: str, key: str, *, parent: str | None = None, timeout: float = 600) -> None:
        headers = {"authorization": f"Bearer {key}"} | ({PARENT_HEADER: parent} if parent else {})
        # No proxy from the environment: the gateway is on this machine or inside the cluster.
        self.http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> "GatewayClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """The answer's JSON, and the request's id.

        Args:
            path: below the base URL: `/chat/completions`.

        Raises:
            NotAuthenticated, UpstreamRefused: the gateway's own error, with its status, code and param.
            UpstreamFailed: the gateway cannot be reached.
        """
        return self.request("POST", path, body)

    def get(self, path: str) -> dict[str, Any]:
        """As `post`, without a body."""
        return self.request("GET", path)[0]

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], str]:
        """As `post`, with any method."""
        try:
            response = self.http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise UpstreamFailed(
                f"The gateway at {self.http.base_url} does not answer ({type(error).__name__}).", fix="Run: sluice up"
            ) from None
        if response.is_error:
            raise error_of(response)
        return response.json(), response.headers.get("x-request-id", "")

    def embed(self, model: str, texts: list[str]) -> list[list[float]]:
        """One vector for each text. Raises what `post` does."""
        answer, _ = self.post("/embeddings", {"model": model, "input": texts})
        return [item["embedding"] for item in answer["data"]]


def error_of(response: httpx.Response) -> SluiceError:
    """The error that a response of the gateway tells of."""
    if response.status_code == 401:
        return NotAuthenticated()
    try:
        error = cast("dict[str, Any]", response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return UpstreamFailed(f"The gateway answered {response.status_code} without saying why.")
    refused = UpstreamRefused(
        str(error.get("message")), status=response.status_code, param=error.get("param"), code=error.get("code")
    )
    refused.exit_code = 2 if response.status_code in (400, 404, 422) else 1
    return refused
