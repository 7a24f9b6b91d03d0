"""The churn project: whether a customer of a telephone company leaves, from CSV to features. IBM's sample data ships."""

from classic_ml.churn.labels import CHURNED
from classic_ml.churn.tables import CHURN
from classic_ml.churn.views import CUSTOMER

__all__ = ["CHURN", "CHURNED", "CUSTOMER"]
