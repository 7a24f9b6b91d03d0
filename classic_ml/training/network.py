"""A small PyTorch network, as one more scikit-learn classifier."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn


class NetworkClassifier(ClassifierMixin, BaseEstimator):
    """Two hidden layers with dropout, trained by AdamW.

    Args:
        prepare: applied to the network before training; Ray Train's `prepare_model` in its workers.
    """

    def __init__(
        self,
        hidden: int = 32,
        dropout: float = 0.2,
        learning_rate: float = 3e-3,
        epochs: int = 12,
        seed: int = 0,
        prepare: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.seed = seed
        self.prepare = prepare

    def fit(self, values: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Train on rows × inputs and labels of 0 and 1."""
        torch.manual_seed(self.seed)
        inputs = torch.as_tensor(np.asarray(values, dtype=np.float32))
        targets = torch.as_tensor(np.asarray(labels, dtype=np.float32))
        network = self._build(inputs.shape[1])
        network = self.prepare(network) if self.prepare else network
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=1e-2)
        loss = nn.BCEWithLogitsLoss()
        network.train()
        for _ in range(self.epochs):
            for batch in torch.randperm(len(inputs)).split(128):
                optimizer.zero_grad()
                loss(network(inputs[batch]).squeeze(1), targets[batch]).backward()
                optimizer.step()
        # Kept as arrays: a pickle of them loads on any machine, whatever device trained them.
        self.weights_ = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = inputs.shape[1]
        self.prepare = None
        return self

    def predict_proba(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Rows × (score of class 0, score of class 1)."""
        network = self._build(self.n_features_in_)
        network.load_state_dict({name: torch.as_tensor(value) for name, value in self.weights_.items()})
        network.eval()
        with torch.inference_mode():
            scores = torch.sigmoid(network(torch.as_tensor(np.asarray(values, dtype=np.float32)))).numpy()
        return np.hstack([1 - scores, scores])

    def predict(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The likelier class of each row."""
        return self.predict_proba(values).argmax(axis=1)

    def _build(self, inputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(inputs, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, 1),
        )
