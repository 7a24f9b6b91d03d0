"""What is known of a customer."""

import polars as pl

from classic_ml.features.view import FeatureView

TAKEN_AS_THEY_ARE = (
    "gender",
    "senior_citizen",
    "partner",
    "dependents",
    "tenure",
    "phone_service",
    "multiple_lines",
    "internet_service",
    "online_security",
    "online_backup",
    "device_protection",
    "tech_support",
    "streaming_tv",
    "streaming_movies",
    "internet_extras",
    "contract",
    "paperless_billing",
    "payment_method",
    "monthly_charges",
    "total_charges",
)


def _customer(rows: pl.LazyFrame) -> pl.LazyFrame:
    months = pl.col("tenure").clip(lower_bound=1)
    average = pl.col("total_charges") / months
    return rows.with_columns(
        # What leaving is about: how a bill compares with those before it, and how new the customer is.
        (pl.col("monthly_charges") - average).alias("charge_rise"),
        (pl.col("tenure") <= 6).alias("new_customer"),
        pl.col("payment_method").str.contains("automatic", literal=True).alias("pays_automatically"),
    )


CUSTOMER = FeatureView(
    name="customer",
    entity="customer_id",
    table="churn",
    features=(*TAKEN_AS_THEY_ARE, "charge_rise", "new_customer", "pays_automatically"),
    compute=_customer,
)
