"""Tables in Delta Lake: bronze as it came, silver typed, gold ready for models, and what was quarantined on the way."""

from classic_ml.lakehouse.lakehouse import Lakehouse
from classic_ml.lakehouse.table import Commit, Layer, table_id

__all__ = ["Commit", "Lakehouse", "Layer", "table_id"]
