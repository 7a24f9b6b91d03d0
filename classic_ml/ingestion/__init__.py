"""From a file to bronze, silver and gold."""

from classic_ml.ingestion.dataset import Dataset
from classic_ml.ingestion.ingest import Ingested, ingest

__all__ = ["Dataset", "Ingested", "ingest"]
