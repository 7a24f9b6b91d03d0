"""The record of a prediction."""

import secrets
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Index, String
from sqlmodel import Field, SQLModel

from sluice.database import UtcDateTime


class Prediction(SQLModel, table=True):
    """One answer of a model about one entity, kept before the client has it.

    Attributes:
        promotion_id: the promotion that had put this version into production.
        features: what the model was given; `features_source` is the lineage id of the table's version they come from.
        request_id: the gateway's, where the request came through it.
    """

    __tablename__: ClassVar[str] = "prediction"  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__ = (Index("ix_prediction_model_at", "model", "at"),)

    id: str = Field(default_factory=lambda: f"pred-{secrets.token_hex(8)}", primary_key=True, sa_type=String)
    model: str = Field(sa_type=String)
    version: str = Field(sa_type=String)
    promotion_id: str = Field(sa_type=String)
    entity: str = Field(sa_type=String)
    features: dict[str, Any] = Field(sa_type=JSON)
    features_source: str = Field(sa_type=String)
    score: float
    request_id: str | None = Field(default=None, sa_type=String)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=UtcDateTime)
