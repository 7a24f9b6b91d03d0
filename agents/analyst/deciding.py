"""How every decision is made: by words as far as they are clear, among what is left by the model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.analyst.chat_model import choose
from agents.analyst.shortlist import Ranked, close_ones
from agents.settings import chat_model
from agents.tools import ToolContext


@dataclass
class Decisions:
    """The decisions of one step, with what they took.

    Attributes:
        steps, model_calls: as in the state.
    """

    context: ToolContext
    question: str
    steps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    model_calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def decide(self, what: str, ranked: list[Ranked], about: Mapping[str, str]) -> str:
        """One of the ranked options; the model is asked only where several are close.

        Args:
            what: names the decision, for whoever looks on.
            about: what each option means, for the model.

        Raises:
            SluiceError: the gateway's own: no budget, no such model, not reachable.
        """
        close = close_ones(ranked)
        if len(close) == 1:
            chosen, how = close[0], "by its words"
        else:
            with self.context.gateway() as gateway:
                model = chat_model(self.context.settings)
                chosen, call = choose(gateway, model, self.question, {name: about[name] for name in close})
            self.model_calls.append(call)
            how = f"by {model} among {', '.join(close)}"
        self.steps.append({"decided": what, "as": chosen, "how": how})
        return chosen
