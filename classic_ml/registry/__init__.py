"""Models by version: MLflow's registry, the gate before a stage, and the stage that follows the label."""

from classic_ml.registry.gate import gate_model
from classic_ml.registry.promotion import PRODUCTION, follow_label, in_production, promote_model
from classic_ml.registry.versions import ModelVersion, find_version, list_versions

__all__ = [
    "PRODUCTION",
    "ModelVersion",
    "find_version",
    "follow_label",
    "gate_model",
    "in_production",
    "list_versions",
    "promote_model",
]
