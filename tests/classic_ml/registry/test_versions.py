"""Versions, their numbers and where they come from."""

from pathlib import Path

import pytest

from classic_ml.registry import find_version, list_versions
from classic_ml.registry.store import open_store
from classic_ml.registry.versions import register
from sluice import lineage
from sluice.errors import NotFound
from sluice.home import Home
from tests.classic_ml.trained import AUTHOR, GOOD, USELESS, Trained


def test_versions_are_listed_in_order_and_found_by_number(trained: Trained) -> None:
    listed = list_versions(trained.engine, "churn")
    assert [version.version for version in listed] == ["1", "2", "3"]
    good = find_version(trained.engine, "churn", GOOD)
    assert (good.author, good.parameters) == (AUTHOR, {"algorithm": "logistic", "C": 1.0})
    assert good.auc > 0.8 > find_version(trained.engine, "churn", USELESS).auc
    with pytest.raises(NotFound, match="no version 9 of model 'churn'"):
        find_version(trained.engine, "churn", "9")


def test_a_run_is_registered_once(trained: Trained, trained_template: Path) -> None:
    client = open_store(trained.home)
    first = list_versions(trained.engine, "churn")[0]
    # Its artefacts stayed where they were logged.
    again = register(client, trained.engine, Home(trained_template), "churn", first.run)
    assert again == first
    assert len(client.search_model_versions("name = 'churn'")) == 3


def test_a_version_is_traced_to_its_file(trained: Trained) -> None:
    def kinds(node: lineage.Node) -> set[str]:
        return {node.id.partition(":")[0]}.union(*(kinds(child) for _, child in node.sources))

    tree = lineage.trace(trained.engine, "model:churn@1")
    assert {"model", "run"} <= kinds(tree)
