"""Versions, their numbers and where they come from."""

from pathlib import Path

import pytest

from classic_ml.registry import find_version, list_versions
from classic_ml.registry.store import open_store
from classic_ml.registry.versions import register
from classic_ml.training.cross_fit import cross_fit
from classic_ml.training.examples import as_examples
from classic_ml.training.run_log import log_run
from sluice import lineage
from sluice.errors import NotFound
from sluice.home import Home
from tests.classic_ml.trained import AUTHOR, GOOD, JANUARY, USELESS, Trained


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


def test_a_number_never_comes_to_mean_another_run(trained: Trained) -> None:
    before = list_versions(trained.engine, "churn")
    client = open_store(trained.home)
    client.delete_registered_model("churn")  # as where the store was lost: it counts from 1 again
    aside = client.create_experiment("aside", artifact_location=(trained.home.root / "mlflow" / "aside").as_uri())
    january = trained.month(JANUARY)
    examples = as_examples(january.read(), january.entity, january.features, january.label)
    tags = {"sluice.author": "bea", "sluice.training_set": january.id, "sluice.features": ",".join(january.features)}
    run = client.create_run(aside, tags=tags).info.run_id
    log_run(client, run, examples, cross_fit({"algorithm": "logistic", "C": 2.0}, examples, seed=0), [])
    made = register(client, trained.engine, trained.home, "churn", run)
    assert (made.version, find_version(trained.engine, "churn", "4")) == ("4", made)
    assert register(client, trained.engine, trained.home, "churn", run) == made
    assert list_versions(trained.engine, "churn")[:3] == before


def test_a_version_is_traced_to_its_file(trained: Trained) -> None:
    def kinds(node: lineage.Node) -> set[str]:
        return {node.id.partition(":")[0]}.union(*(kinds(child) for _, child in node.sources))

    tree = lineage.trace(trained.engine, "model:churn@1")
    assert {"model", "run"} <= kinds(tree)
