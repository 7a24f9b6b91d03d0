"""`classic_ml:` in the settings."""

from typing import Annotated

from pydantic import Field

from sluice.settings import Count, Seconds, Section

Share = Annotated[float, Field(ge=0, le=1)]


class LakehouseSettings(Section):
    """`classic_ml.lakehouse:`, where tables lie.

    Attributes:
        url: empty: `lakehouse` in the home folder. Otherwise a folder, or `s3://bucket/prefix`.
        storage_options: what deltalake takes for an object store, such as `AWS_ENDPOINT_URL`; keys come from the
            environment, never from a file.
    """

    url: str = ""
    storage_options: dict[str, str] = Field(default_factory=dict[str, str])


class QualitySettings(Section):
    """`classic_ml.quality:`, the gate before silver."""

    rejected_share: Annotated[float, Field(ge=0, lt=1)] = 0.2


class SqlSettings(Section):
    """`classic_ml.sql:`, what one query on gold tables may take."""

    rows: Count = 1000
    seconds: Seconds = 10
    memory_mib: Count = 512


class TrainingSettings(Section):
    """`classic_ml.training:`, how a model is searched for.

    Attributes:
        trials: of Ray Tune, for the scikit-learn pipelines.
        epochs: of the PyTorch network.
        cpus: cores that Ray may use.
    """

    trials: Count = 6
    epochs: Count = 12
    seed: Annotated[int, Field(ge=0)] = 7
    cpus: Count = 2


class GateSettings(Section):
    """`classic_ml.gate:`, what lets a model through.

    Attributes:
        margin: by how much a candidate's ROC AUC must certainly not lie below the incumbent's.
        minimum_auc: what it must certainly reach where there is no incumbent.
        calibration_error: the largest mean difference between predicted and true shares.
    """

    margin: Share = 0.01
    minimum_auc: Share = 0.75
    calibration_error: Share = 0.05


class MonitoringSettings(Section):
    """`classic_ml.monitoring:`, when a change is drift.

    Attributes:
        significance: of one whole report, all its features together.
        warning, critical: the population stability index from which on a change matters, however certain it is.
    """

    significance: Share = 0.01
    warning: Share = 0.1
    critical: Share = 0.25


class ClassicMlSettings(Section):
    """`classic_ml:`, data and the models made from it."""

    lakehouse: LakehouseSettings = LakehouseSettings()
    quality: QualitySettings = QualitySettings()
    sql: SqlSettings = SqlSettings()
    training: TrainingSettings = TrainingSettings()
    gate: GateSettings = GateSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
