"""The scikit-learn pipelines: what each algorithm needs before it, and the algorithm."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from classic_ml.training.examples import Examples

Parameters = dict[str, Any]
"""`algorithm` and what it is given."""

Algorithm = Literal["logistic", "boosting", "network"]


def build_pipeline(parameters: Parameters, examples: "Examples", seed: int) -> "Pipeline":
    """An unfitted pipeline over rows of `Examples.values`; `predict_proba` gives the score of class 1 in column 1."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        FunctionTransformer(to_numbers), SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    texts = make_pipeline(FunctionTransformer(to_texts), OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    prepared = ColumnTransformer([("numbers", numbers, examples.numeric), ("texts", texts, examples.categorical)])
    return make_pipeline(prepared, _estimator(parameters, seed))


def to_numbers(values: NDArray[np.object_]) -> NDArray[np.float64]:
    """None becomes NaN."""
    return values.astype(np.float64)


def to_texts(values: NDArray[np.object_]) -> NDArray[np.object_]:
    """None becomes a category of its own."""
    missing = np.array([[value is None for value in row] for row in values], dtype=bool).reshape(values.shape)
    return np.where(missing, "", values)


def _estimator(parameters: Parameters, seed: int) -> Any:
    given = {name: value for name, value in parameters.items() if name != "algorithm"}
    match parameters["algorithm"]:
        case "logistic":
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(max_iter=1000, **given)
        case "boosting":
            from sklearn.ensemble import HistGradientBoostingClassifier

            return HistGradientBoostingClassifier(random_state=seed, **given)
        case _:
            from classic_ml.training.network import NetworkClassifier

            return NetworkClassifier(seed=seed, **given)
