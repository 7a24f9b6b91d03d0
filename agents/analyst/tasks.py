"""What people say when they mean a tool: the router's examples.

They were written without looking at `tests/agents/questions.yaml`, on which choices are measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """A kind of question, and the tools that can answer it."""

    name: str
    about: str
    tools: tuple[str, ...] = ()


ROUTES = {
    route.name: route
    for route in (
        Route("none", "small talk, or something else"),
        Route("document", "how something works, or what is written about it", ("search_documents",)),
        Route("data", "numbers or facts about customers", ("query_sql", "customer_features")),
        Route("prediction", "whether one customer will leave", ("predict_churn",)),
        Route("drift", "whether a model or its data have changed", ("drift_report",)),
        Route("training", "training a model again", ("start_training",)),
    )
}

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "search_documents": (
        "What do the documents say about it?",
        "How does this work?",
        "Explain the concept",
        "Where is it written how to set this up?",
        "Who discovered it, and when did it happen?",
        "Find the passage about this topic",
        "What does this word mean?",
        "Why was it decided this way?",
        "What is the default value of this setting?",
        "How do I configure it?",
        # Most of what is asked of documents has no word in common with any example but the small ones.
        "In what year did it begin?",
        "Where is the place located?",
        "What is the name of the river?",
        "What is a lock?",
        "Who was the first to do it?",
        "How long is the bridge?",
        "How old is the town?",
        "When was the building opened?",
        "Which country does it belong to?",
        "What caused the war?",
        "What are the two kinds of it called?",
        "Who wrote the book?",
        "How many people live there?",
        "What does the law say about it?",
        "Along with this, what else was found?",
        "What happens if it fails?",
        "What type of thing is it?",
        "Whose idea was it?",
        "What did the author claim?",
        "How was it built?",
        "Which of these came later?",
        "What was the purpose of the treaty?",
    ),
    "query_sql": (
        "How many customers do we have?",
        "What is the average tenure of customers?",
        "Churn rate by internet service",
        "Which group of customers leaves most often?",
        "List the top five customers by total charges",
        "Number of customers with a one year contract",
        "What percentage of customers churned?",
        "Compare charges between contracts",
        "Total revenue per payment method",
    ),
    "customer_features": (
        "Show what is known about this customer",
        "Features of the customer",
        "Which contract does the customer have?",
        "Look up the customer's details",
        "What does the customer pay each month?",
    ),
    "predict_churn": (
        "Will this customer churn?",
        "Predict churn for the customer",
        "What is the risk that the customer leaves?",
        "Probability that he cancels",
        "Is the customer going to quit?",
        "Churn score of the customer",
    ),
    "drift_report": (
        "Is there drift?",
        "Did the model's input data change?",
        "Any alerts from monitoring?",
        "How is the model doing in production?",
        "Has the distribution of the features shifted?",
        "Is the model out of date?",
    ),
    "start_training": (
        "Train the model again",
        "Retrain the model",
        "Start training with the latest data",
        "Fit a new model version",
        "Launch a retraining",
    ),
    "none": (
        "Hi, how are you?",
        "Thanks, goodbye",
        "Tell me something funny",
        "Book a table at a restaurant",
        "Translate this into French",
        "Compose a song",
        "Order a pizza",
        "Set an alarm for seven",
        "What is the weather today?",
        "Write a message to my boss",
    ),
}

ABOUT_ONE_CUSTOMER = ("customer_features", "predict_churn")
"""These tools need a customer's id; where the question has one, it is most likely about them."""
