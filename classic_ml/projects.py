"""What each model is about: the data it learns from and the features it is asked with."""

from dataclasses import dataclass

from classic_ml.features import FeatureView, LabelView
from classic_ml.ingestion import Dataset
from sluice.errors import NotFound


@dataclass(frozen=True)
class Project:
    """One model's data.

    Attributes:
        view: the features, offline and online.
        labels: what the model learns to say.
    """

    model: str
    dataset: Dataset
    view: FeatureView
    labels: LabelView


def find_project(model: str) -> Project:
    """The project of a model.

    Raises:
        NotFound: there is none of that name.
    """
    from classic_ml.churn import CHURN, CHURNED, CUSTOMER

    projects = {"churn": Project("churn", CHURN, CUSTOMER, CHURNED)}
    if model not in projects:
        raise NotFound(f"There is no model '{model[:100]}'.", fix=f"There are: {', '.join(projects)}.")
    return projects[model]
