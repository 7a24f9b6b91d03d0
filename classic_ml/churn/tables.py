"""Silver and gold of the churn project, each computed from the layer before."""

import polars as pl

from classic_ml.churn.expectations import EXPECTATIONS
from classic_ml.churn.schema import COLUMNS, ID, INTERNET_EXTRAS
from classic_ml.ingestion.dataset import LOADED, Dataset
from classic_ml.quality.expectation import as_number, as_whole_number, text

FLAGS = {
    "Partner": "partner",
    "Dependents": "dependents",
    "PhoneService": "phone_service",
    "MultipleLines": "multiple_lines",
    "OnlineSecurity": "online_security",
    "OnlineBackup": "online_backup",
    "DeviceProtection": "device_protection",
    "TechSupport": "tech_support",
    "StreamingTV": "streaming_tv",
    "StreamingMovies": "streaming_movies",
    "PaperlessBilling": "paperless_billing",
    "Churn": "churned",
}
TEXTS = {
    ID: "customer_id",
    "gender": "gender",
    "InternetService": "internet_service",
    "Contract": "contract",
    "PaymentMethod": "payment_method",
}


def silver(accepted: pl.DataFrame) -> pl.DataFrame:
    """Bronze rows that passed the gate, typed: text, flags, months, charges a month and in total (null: not billed)."""
    return accepted.select(
        *(text(column).alias(name) for column, name in TEXTS.items()),
        (text("SeniorCitizen") == "1").alias("senior_citizen"),
        *((text(column) == "Yes").alias(name) for column, name in FLAGS.items()),
        as_whole_number("tenure").alias("tenure"),
        as_number("MonthlyCharges").alias("monthly_charges"),
        as_number("TotalCharges").alias("total_charges"),
        *LOADED,
    )


def gold(silver_rows: pl.DataFrame) -> pl.DataFrame:
    """Silver rows without gaps: a blank total is what the months so far would be billed; with the count of extras."""
    total = pl.col("total_charges").fill_null(pl.col("tenure") * pl.col("monthly_charges"))
    extras = pl.sum_horizontal(FLAGS[column] for column in INTERNET_EXTRAS).cast(pl.Int64)
    return silver_rows.with_columns(total.alias("total_charges"), extras.alias("internet_extras"))


CHURN = Dataset(
    name="churn",
    columns=COLUMNS,
    key=ID,
    entity="customer_id",
    expectations=EXPECTATIONS,
    silver=silver,
    gold=gold,
)
