"""Organisations, teams and users; budgets in money, soft ones, and of any scope; limits; roles; what a request cost."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create and extend the tables of metering."""
    op.create_table(
        "scope",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_scope_parent", "scope", ["parent"])
    op.create_table(
        "rate_limit",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_rate_limit_scope", "rate_limit", ["scope"])

    op.add_column("api_key", sa.Column("scope", sa.String(), nullable=True))
    op.add_column("api_key", sa.Column("role", sa.String(), nullable=True))
    op.create_index("ix_api_key_scope", "api_key", ["scope"])
    op.add_column("api_key_revision", sa.Column("meters", sa.BigInteger(), nullable=False, server_default="0"))

    op.drop_index("ix_budget_scope", "budget")
    with op.batch_alter_table("budget") as budget:
        budget.alter_column("tokens", new_column_name="amount")
        budget.add_column(sa.Column("unit", sa.String(), nullable=False, server_default="tokens"))
        budget.add_column(sa.Column("hard", sa.Boolean(), nullable=False, server_default=sa.true()))
    rows = sa.table("budget", *(sa.column(name, sa.String()) for name in ("id", "scope", "scope_id", "window")))
    scope = rows.c.scope.concat(":").concat(rows.c.scope_id)
    op.execute(rows.update().values(id=scope.concat("/tokens/").concat(rows.c.window), scope=scope))
    with op.batch_alter_table("budget") as budget:
        budget.drop_column("scope_id")
    op.create_index("ix_budget_scope", "budget", ["scope"])

    op.add_column("usage_record", sa.Column("cost", sa.BigInteger(), nullable=False, server_default="0"))
    for name in ("upstream", "cache"):
        op.add_column("usage_record", sa.Column(name, sa.String(), nullable=True))


def downgrade() -> None:
    """Drop them; budgets that the older version does not know go with them."""
    for name in ("cost", "upstream", "cache"):
        op.drop_column("usage_record", name)
    op.drop_index("ix_budget_scope", "budget")
    rows = sa.table("budget", *(sa.column(name, sa.String()) for name in ("id", "scope", "scope_id", "unit", "window")))
    op.execute(rows.delete().where(sa.or_(rows.c.unit != "tokens", rows.c.scope.not_like("key:%"))))
    with op.batch_alter_table("budget") as budget:
        budget.add_column(sa.Column("scope_id", sa.String(), nullable=False, server_default=""))
    key_id = sa.func.substr(rows.c.scope, 5)
    op.execute(rows.update().values(scope_id=key_id, scope="key", id=key_id.concat("/").concat(rows.c.window)))
    with op.batch_alter_table("budget") as budget:
        for name in ("unit", "hard"):
            budget.drop_column(name)
        budget.alter_column("amount", new_column_name="tokens")
    op.create_index("ix_budget_scope", "budget", ["scope", "scope_id"])
    op.drop_column("api_key_revision", "meters")
    op.drop_index("ix_api_key_scope", "api_key")
    for name in ("scope", "role"):
        op.drop_column("api_key", name)
    op.drop_table("rate_limit")
    op.drop_table("scope")
