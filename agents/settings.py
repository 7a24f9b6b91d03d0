"""`agents:`, the settings of this package."""

from sluice.errors import MissingRequirement
from sluice.settings import Section, Settings


class AgentsSettings(Section):
    """`model`: the route that agents ask for their decisions; empty: the first model that chats."""

    model: str = ""


def chat_model(settings: Settings) -> str:
    """The name of the model that agents ask.

    Raises:
        MissingRequirement: the deployment has none.
    """
    chatting = [name for name, model in settings.models.items() if model.kind == "chat"]
    names = [settings.section("agents", AgentsSettings).model, *chatting, *settings.routes]
    for name in filter(None, names):
        return name
    raise MissingRequirement("There is no chat model for agents to ask.", fix="Name one in configs/models.yaml.")
