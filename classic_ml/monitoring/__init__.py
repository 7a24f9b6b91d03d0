"""Drift: what changed between the data a model learned from and the data of now, and the alert that follows."""

from classic_ml.monitoring.alert import Alert, find_alert, raise_alert
from classic_ml.monitoring.drift import DriftReport, FeatureDrift, Severity, check_drift
from classic_ml.monitoring.monitor import Monitored, monitor_month

__all__ = [
    "Alert",
    "DriftReport",
    "FeatureDrift",
    "Monitored",
    "Severity",
    "check_drift",
    "find_alert",
    "monitor_month",
    "raise_alert",
]
