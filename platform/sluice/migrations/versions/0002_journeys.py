"""Audit, lineage, promotion, prompts, budgets, predictions, features, tools; what usage records say beyond tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

CANDIDATE = ("kind", "name", "version")


def upgrade() -> None:
    """Create the tables of the first journeys."""
    op.create_table(
        "audit_entry",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *_texts("actor", "action", "subject"),
        sa.Column("detail", sa.JSON(), nullable=False),
        *_texts("previous", "hash"),
    )
    op.create_index("ix_audit_entry_subject", "audit_entry", ["subject"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        *_texts("hash"),
    )
    op.bulk_insert(head, [{"id": 1, "number": 0, "hash": ""}])

    op.create_table(
        "lineage_node",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
    )
    op.create_table(
        "lineage_edge",
        sa.Column("child", sa.String(), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        *_texts("role", "parent"),
    )
    op.create_index("ix_lineage_edge_parent", "lineage_edge", ["parent"])

    op.create_table(
        "gate_result",
        sa.Column("id", sa.String(), primary_key=True),
        *_texts(*CANDIDATE),
        sa.Column("incumbent", sa.String(), nullable=True),
        *_texts("suite", "verdict"),
        sa.Column("report", sa.JSON(), nullable=False),
        *_texts("data_hash", "author"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_gate_result_candidate", "gate_result", CANDIDATE)
    op.create_table(
        "approval",
        *(sa.Column(name, sa.String(), primary_key=True) for name in (*CANDIDATE, "by")),
        *_texts("note"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "label",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("kind", "name", "label")),
        *_texts("version", "promotion_id"),
    )
    op.create_table(
        "promotion",
        sa.Column("id", sa.String(), primary_key=True),
        *_texts("kind", "name", "label", "version"),
        sa.Column("previous", sa.String(), nullable=True),
        sa.Column("gate_id", sa.String(), nullable=True),
        sa.Column("approved_by", sa.JSON(), nullable=False),
        *_texts("by"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_promotion_label", "promotion", ["kind", "name", "label"])

    op.create_table(
        "prompt_version",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("version", sa.String(), primary_key=True),
        *_texts("content"),
        sa.Column("commit", sa.String(), nullable=True),
        *_texts("author"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )

    op.create_table(
        "budget",
        sa.Column("id", sa.String(), primary_key=True),
        *_texts("scope", "scope_id"),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        *_texts("window"),
    )
    op.create_index("ix_budget_scope", "budget", ["scope", "scope_id"])
    op.add_column("api_key", sa.Column("policy", sa.String(), nullable=True))
    op.add_column("usage_record", sa.Column("charged_tokens", sa.BigInteger(), nullable=False, server_default="0"))
    for name in ("parent_id", "prompt", "policy", "verdicts"):
        op.add_column("usage_record", sa.Column(name, sa.String(), nullable=True))

    op.create_table(
        "online_feature",
        sa.Column("view", sa.String(), primary_key=True),
        sa.Column("entity", sa.String(), primary_key=True),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *_texts("source"),
    )
    op.create_table(
        "prediction",
        sa.Column("id", sa.String(), primary_key=True),
        *_texts("model", "version", "promotion_id", "entity"),
        sa.Column("features", sa.JSON(), nullable=False),
        *_texts("features_source"),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_prediction_model_at", "prediction", ["model", "at"])
    op.create_table(
        "alert",
        sa.Column("id", sa.String(), primary_key=True),
        *_texts("monitor", "severity", "summary"),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("retraining", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "tool_call",
        sa.Column("id", sa.String(), primary_key=True),
        *_texts("tool", "caller"),
        sa.Column("arguments", sa.JSON(), nullable=False),
        *_texts("state"),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("tool_call", "alert", "prediction", "online_feature", "budget", "prompt_version", "promotion"):
        op.drop_table(table)
    for table in ("label", "approval", "gate_result", "lineage_edge", "lineage_node", "audit_head", "audit_entry"):
        op.drop_table(table)
    op.drop_column("api_key", "policy")
    for name in ("charged_tokens", "parent_id", "prompt", "policy", "verdicts"):
        op.drop_column("usage_record", name)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]
