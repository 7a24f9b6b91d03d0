"""Where a prediction comes from, for `sluice trace`."""

from sqlmodel import Session

from classic_ml.serving.prediction import Prediction
from sluice.lineage import Found


def resolve(session: Session, key: str) -> Found | None:
    """The prediction of an id: made by what a promotion had put into production, from features of a table's version."""
    row = session.get(Prediction, key)
    if row is None:
        return None
    attributes = {
        "model": row.model,
        "version": row.version,
        "entity": row.entity,
        "score": row.score,
        "features": row.features,
        "request": row.request_id,
    }
    sources = (("promotion", f"promotion:{row.promotion_id}"), ("features", row.features_source))
    return Found(attributes, sources, row.at)
