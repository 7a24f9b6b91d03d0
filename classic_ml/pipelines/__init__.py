"""Pipelines: what follows from what without anybody watching."""

from classic_ml.pipelines.retrain import Retrained, retrain

__all__ = ["Retrained", "retrain"]
