"""What a model's tokens cost, in whole billionths of the currency."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens each: read, read from the engine's cache, and written."""

    input: int
    cached: int
    output: int

    def cost(self, prompt: int, cached: int, completion: int) -> int:
        """Of one call, rounded up to a billionth; `cached` are those of the prompt's tokens that cost less."""
        cached = min(cached, prompt)
        fresh = prompt - cached
        return -(-(fresh * self.input + cached * self.cached + completion * self.output) // MILLION)

    def completion_for(self, money: int, prompt: int, choices: int) -> int:
        """The most tokens of each of `choices` answers to a prompt that an amount pays for; below 1: not even one."""
        left = money * MILLION - prompt * self.input
        if self.output == 0:
            return -1 if left < 0 else MILLION * MILLION
        return left // (self.output * choices)
