"""What the analyst asks of a language model: one choice among few."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sluice.gateway_client import GatewayClient

SEED = 0
MOST_TOKENS = 32


ModelCall = dict[str, Any]
"""A request's id and tokens, for the answer's trace and usage."""


def choose(gateway: GatewayClient, model: str, question: str, options: Mapping[str, str]) -> tuple[str, ModelCall]:
    """One of `options`, by their descriptions; the best guess stands first.

    The answer is held to a JSON schema that allows nothing else. A model that gives something else all the same, or is
    cut off, has not chosen: then it is the first.
    """
    names = list(options)
    described = "\n".join(f"- {name}: {about}" for name, about in options.items())
    # The form is shown with the best guess: a small model repeats it, a better one decides.
    shown = json.dumps({"choice": names[0]})
    prompt = f"{described}\nWhich of these does the question ask for? Reply as {shown}.\nQuestion: {question}"
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "response_format": _one_of(names),
        "max_tokens": MOST_TOKENS,
        "temperature": 0,
        "seed": SEED,
    }
    answer, request_id = gateway.post("/chat/completions", body)
    usage = answer.get("usage") or {}
    call = {"request": request_id, **{key: usage.get(key) or 0 for key in ("prompt_tokens", "completion_tokens")}}
    try:
        chosen = str(json.loads(answer["choices"][0]["message"]["content"])["choice"])
    except (ValueError, KeyError, TypeError):
        chosen = ""
    return chosen if chosen in options else names[0], call


def _one_of(names: Sequence[str]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": list(names)}},
        "required": ["choice"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "choice", "strict": True, "schema": schema}}
