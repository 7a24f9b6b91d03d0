"""`sluice chat`: talk to a model through the gateway, in the terminal."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluice.errors import InvalidRequest, MissingRequirement, SluiceError

if TYPE_CHECKING:
    import httpx

app = typer.Typer()


@app.command()
def chat(
    prompt: Annotated[str | None, typer.Argument(help="One question; without it, a conversation starts.")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="A model's name; default: the first that chats.")] = "",
    system: Annotated[str, typer.Option("--system", "-s", help="A system message.")] = "",
    max_tokens: Annotated[int, typer.Option(help="The longest answer, in tokens.", min=1)] = 512,
    temperature: Annotated[float, typer.Option(help="0 repeats itself, 1 surprises.", min=0, max=2)] = 0.7,
) -> None:
    """Chat with a model; the answer streams.

    Uses OPENAI_BASE_URL and OPENAI_API_KEY, or what `sluice up` left in its home folder. End a conversation with Ctrl-D.
    """
    import httpx

    base_url, key = _access()
    messages: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []
    options: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "stream": True}
    timeout = httpx.Timeout(600, connect=5)
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False) as client:
        options["model"] = model or _first_chat_model(client)
        for question in [prompt] if prompt else _questions():
            messages.append({"role": "user", "content": question})
            answer = ""
            for text in _stream(client, {**options, "messages": messages}):
                typer.echo(text, nl=False)
                answer += text
            typer.echo()
            messages.append({"role": "assistant", "content": answer})


def _access() -> tuple[str, str]:
    import os
    import shlex

    from sluice.settings_files import load_settings

    environment = dict(os.environ)
    if "OPENAI_API_KEY" not in environment or "OPENAI_BASE_URL" not in environment:
        file = load_settings().home.dev_env
        if not file.exists():
            raise MissingRequirement(
                "Neither OPENAI_BASE_URL and OPENAI_API_KEY nor a running platform was found.", fix="Run `sluice up`."
            )
        for word in shlex.split(file.read_text(), comments=True):
            name, _, value = word.partition("=")
            environment[name] = value
    return environment["OPENAI_BASE_URL"], environment["OPENAI_API_KEY"]


def _questions() -> Iterator[str]:
    while True:
        try:
            question = typer.prompt("you", prompt_suffix="> ", default="", show_default=False)
        except typer.Abort:
            typer.echo()
            return
        if question.strip():
            yield question


def _first_chat_model(client: "httpx.Client") -> str:
    from sluice.settings_files import load_settings

    embedding = {name for name, model in load_settings().models.items() if model.kind == "embedding"}
    data = _checked(client, "GET", "/models").json()["data"]
    names = [model["id"] for model in data if model["id"] not in embedding]
    if not names:
        raise InvalidRequest(
            "This key may use no model that chats.", fix="See `sluice models list` and `sluice keys list`."
        )
    return names[0]


def _stream(client: "httpx.Client", body: dict[str, Any]) -> Iterator[str]:
    import httpx

    try:
        with client.stream("POST", "/chat/completions", json=body) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            for line in response.iter_lines():
                if line.startswith("data:") and line != "data: [DONE]":
                    event = json.loads(line[5:])
                    if "error" in event:
                        raise SluiceError(event["error"]["message"])
                    for choice in event["choices"]:
                        yield choice["delta"].get("content") or ""
    except httpx.HTTPError as error:
        raise _unreachable(client, error) from None


def _checked(client: "httpx.Client", method: str, path: str) -> "httpx.Response":
    import httpx

    try:
        response = client.request(method, path)
    except httpx.HTTPError as error:
        raise _unreachable(client, error) from None
    if response.is_error:
        raise _refusal(response)
    return response


def _refusal(response: "httpx.Response") -> SluiceError:
    try:
        return SluiceError(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return SluiceError(f"{response.url} answered {response.status_code}.")


def _unreachable(client: "httpx.Client", error: Exception) -> SluiceError:
    return SluiceError(f"The gateway at {client.base_url} cannot be reached ({error}).", fix="Run `sluice up`.")
