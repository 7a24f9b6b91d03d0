"""Whether an answer is JSON of a given form."""

import json
from functools import partial
from typing import Any, Literal

from pydantic import Field, field_validator

from evals.case import Answer, Case, Score
from evals.metrics.settings import Access, MetricSettings, Scorer
from sluice.errors import InvalidRequest


class JsonSchema(MetricSettings):
    """`metric: json_schema`; `schema` is the JSON Schema itself."""

    metric: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"no JSON Schema: {error.message}") from None
        return schema

    def scorer(self, access: Access | None) -> Scorer:
        from jsonschema import Draft202012Validator
        from referencing import Registry

        # An empty registry: without one, what the schema refers to would be fetched from the network.
        return partial(_conforms, Draft202012Validator(self.json_schema, registry=Registry()))


def _conforms(validator: Any, case: Case, answer: Answer) -> Score:
    """1 where the whole answer is JSON that the schema allows, else 0 with what is wrong with it.

    Raises:
        InvalidRequest: the schema refers to what it does not hold.
    """
    from referencing.exceptions import Unresolvable

    try:
        value = json.loads(answer.text, parse_constant=_refuse)
        wrong = next(iter(validator.iter_errors(value)), None)
    except ValueError as error:
        return Score(0.0, f"not JSON: {error}")
    except RecursionError:
        return Score(0.0, "nested too deeply")
    except Unresolvable as error:
        raise InvalidRequest(
            f"A suite's schema refers to '{error.ref}', which it does not hold.", fix="Put it under the schema's $defs."
        ) from None
    return Score(1.0) if wrong is None else Score(0.0, f"{wrong.json_path}: {wrong.message}")


def _refuse(constant: str) -> None:
    """Python would read NaN and Infinity, which are no JSON."""
    raise ValueError(constant)
