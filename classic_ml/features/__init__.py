"""Features as Python, the same offline and online; training sets as known then."""

from classic_ml.features.online import OnlineFeatures, materialize, online_features
from classic_ml.features.training_set import TrainingSet, build_training_set, load_training_set
from classic_ml.features.view import FeatureView, LabelView

__all__ = [
    "FeatureView",
    "LabelView",
    "OnlineFeatures",
    "TrainingSet",
    "build_training_set",
    "load_training_set",
    "materialize",
    "online_features",
]
