"""A prompt as what an evaluation asks (entry point `sluice.subjects`)."""

from sqlalchemy import Engine

from evals.case import Answer, Case
from evals.subject import Subject, stored_prompt
from prompts.registry import register
from sluice.gateway_client import GatewayClient, gateway_access
from sluice.identity import identify
from sluice.settings import Settings


def make_subject(settings: Settings, engine: Engine, name: str, content: bytes) -> Subject:
    """The version that `content` is, registered and asked through the gateway.

    Raises:
        InvalidRequest: `content` is no prompt; when called, a case whose variables are not those of the prompt.
        MissingRequirement: there is no key.
        NotAuthenticated: the key is not valid.
        StateUnavailable: the database cannot be used.
    """
    base_url, key = gateway_access(settings)
    prompt = register(engine, name, content, author=identify(engine, key).owner)
    ask = stored_prompt(GatewayClient(base_url, key), name, prompt.version)

    def subject(case: Case) -> Answer:
        prompt.render(case.variables)  # a wrong case is an error of the suite, not a bad answer
        return ask(case)

    return subject
