"""ragas' faithfulness: the share of an answer's statements that its passages support (Es et al., arXiv:2309.15217)."""

import asyncio
import importlib
import logging
import math
from functools import partial
from typing import Any, Literal

from evals.case import Answer, Case, Score
from evals.metrics.settings import Access, JudgeSettings, Scorer
from evals.refusals import is_about_the_case
from sluice.errors import MissingRequirement, UpstreamFailed, UpstreamRefused
from sluice.gateway_client import error_of
from sluice.offline import switch_off


class Faithfulness(JudgeSettings):
    """`metric: faithfulness`, over the answers of `ask`; `model` judges."""

    metric: Literal["faithfulness"]

    def scorer(self, access: Access | None) -> Scorer:
        if access is None:
            raise MissingRequirement("ragas asks a model through the gateway.", fix="Run: sluice up")
        switch_off()
        importlib.import_module("ragas.metrics.collections")  # now and here, not in several threads at once
        logging.getLogger("instructor").setLevel(logging.CRITICAL)  # what it would print stands in the score
        return partial(_faithfulness, access, self.model)


def _faithfulness(access: Access, model: str, case: Case, answer: Answer) -> Score:
    """ragas' number; not scored where it has none (NaN), or its judge does not answer in the form it asks for."""
    question = str(case.variables.get("question", ""))
    needed = {"question": question, "text": answer.text, "passages": answer.passages}
    if missing := [name for name, value in needed.items() if not value]:
        return Score.unscored(f"nothing to judge: no {missing[0]}")
    return asyncio.run(_ask_ragas(access, model, question, answer))


async def _ask_ragas(access: Access, model: str, question: str, answer: Answer) -> Score:
    import httpx
    import instructor
    import openai
    from instructor.core import InstructorRetryException
    from ragas.llms.base import InstructorLLM
    from ragas.metrics.collections import Faithfulness as RagasFaithfulness

    http = httpx.AsyncClient(trust_env=False, timeout=600)
    async with openai.AsyncOpenAI(base_url=access[0], api_key=access[1], http_client=http, max_retries=0) as client:
        # ragas' own factory asks for any JSON; this mode sends the schema too, and vLLM holds the judge to it. Without
        # a second try a score depends on no luck, and a judge that cannot do it costs one call instead of four.
        patched: Any = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
        llm = InstructorLLM(client=patched, model=model, provider="openai", temperature=0.0, max_retries=0)
        try:
            found = await RagasFaithfulness(llm=llm).ascore(question, answer.text, list(answer.passages))
        except (InstructorRetryException, openai.APIError) as error:
            return Score.unscored(_reason(error))
    value = float(found.value)
    return Score.unscored("ragas found no statement in the answer") if math.isnan(value) else Score(value)


def _reason(error: Exception) -> str:
    """Why the judge gave no score; what concerns the whole run is raised."""
    import openai

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, openai.APIError):
        cause = cause.__cause__
    if isinstance(cause, openai.APIStatusError):
        refused = error_of(cause.response)
        if isinstance(refused, UpstreamRefused) and is_about_the_case(refused):
            return f"the judge refused: {refused}"
        raise refused from None
    if isinstance(cause, openai.APIConnectionError):
        raise UpstreamFailed(f"The gateway does not answer: {cause}", fix="Run: sluice up") from None
    return "the judge's answer is not in the form that ragas asks for"
