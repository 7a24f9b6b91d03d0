"""The columns of a churn extract, and the values they may hold."""

ID = "customerID"
LABEL = "Churn"
YES_NO = ("Yes", "No")

INTERNET_EXTRAS = (
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
)
NO_INTERNET = "No internet service"
NO_PHONE = "No phone service"

CATEGORIES: dict[str, tuple[str, ...]] = {
    "gender": ("Female", "Male"),
    "SeniorCitizen": ("0", "1"),
    "Partner": YES_NO,
    "Dependents": YES_NO,
    "PhoneService": YES_NO,
    "MultipleLines": (*YES_NO, NO_PHONE),
    "InternetService": ("DSL", "Fiber optic", "No"),
    **dict.fromkeys(INTERNET_EXTRAS, (*YES_NO, NO_INTERNET)),
    "Contract": ("Month-to-month", "One year", "Two year"),
    "PaperlessBilling": YES_NO,
    "PaymentMethod": ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"),
    LABEL: YES_NO,
}

COLUMNS: tuple[str, ...] = (
    ID,
    "gender",
    "SeniorCitizen",
    "Partner",
    "Dependents",
    "tenure",
    "PhoneService",
    "MultipleLines",
    "InternetService",
    *INTERNET_EXTRAS,
    "Contract",
    "PaperlessBilling",
    "PaymentMethod",
    "MonthlyCharges",
    "TotalCharges",
    LABEL,
)
