"""The result of a query, as JSON and with what it was made from."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from agents.tools import call_tool
from classic_ml.lakehouse import Lakehouse
from sluice.settings import Settings
from tests.agents.conftest import ContextOf


@pytest.fixture(autouse=True)
def churn(settings: Settings) -> None:
    rows = pl.DataFrame({"customer_id": ["a"], "tenure": [0], "as_of": [datetime(2026, 1, 31, tzinfo=UTC)]})
    Lakehouse.of(settings).append("gold", "churn", rows, source="file:1", made_from=["file:1"])


def test_what_json_does_not_know_is_text(context_of: ContextOf) -> None:
    query = "SELECT tenure / 0 AS a, 1.0 / 0 AS b, as_of::DATE AS c, NULL AS d, [1] AS e FROM Churn"
    call = call_tool(context_of(), "query_sql", {"query": query})
    assert call.result is not None
    assert call.result["rows"] == [["nan", "inf", "2026-01-31", None, "[1]"]]
    assert call.result["sources"] == ["table:gold.churn@1"]
    json.dumps(call.result, allow_nan=False)
